/** From the bytes of a body to its records: opens what is compressed, and cuts it. */
import type { FastifyRequest } from 'fastify';
import { BodyOpener } from './body-opener.ts';
import { BodyError } from './drain-body.ts';
import { type BodyContext, type DrainBody, type DrainKind, drainRecords, unreadableBody } from './drain-records.ts';

export interface ContentLimits {
  /** Of one body once it is opened. */
  readonly maxDecodedBytes: number;
  /** Of all opened bodies that are held. */
  readonly maxHeldBytes: number;
  readonly maxRecords: number;
}

export interface DrainContent {
  readonly body: DrainBody;
  /** To be called once, when nobody needs the records any more. */
  readonly release: () => void;
}

interface ContentTerms {
  /** Kept with every record. */
  readonly headers: BodyContext['headers'];
  readonly arrivedMs: number;
  readonly forMs: number;
}

const nothing = (): void => {};
const encodings = new Set(['gzip', 'x-gzip', 'deflate']);

export class ContentReader {
  private readonly kind: DrainKind;
  private readonly limits: ContentLimits;
  private readonly opener: BodyOpener;

  constructor(kind: DrainKind, limits: ContentLimits) {
    this.kind = kind;
    this.limits = limits;
    this.opener = new BodyOpener(limits.maxDecodedBytes, limits.maxHeldBytes);
  }

  /**
   * Opens within `forMs`. Rejects with a `BodyError` for a body that is too large once it is opened, or for which there was no room; with an
   * `OtlpError` for OTLP that is none.
   */
  async read(body: Buffer, request: FastifyRequest, { headers, arrivedMs, forMs }: ContentTerms): Promise<DrainContent> {
    const { maxRecords, maxDecodedBytes } = this.limits;
    const claimed = Number(request.headers['logplex-msg-count'] ?? Number.NaN);
    const context: BodyContext = {
      kind: this.kind,
      mediaType: mediaTypeOf(request),
      arrivedMs,
      headers,
      maxRecords,
      maxBytes: maxDecodedBytes,
      claimed: Number.isSafeInteger(claimed) && claimed >= 0 ? claimed : undefined,
    };
    const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase().trim();
    if (encoding === 'identity' || encoding === '') return { body: drainRecords(body, context), release: nothing };
    if (!encodings.has(encoding)) {
      return { body: unreadableBody(body, context, `Content-Encoding ${encoding} is not read here`), release: nothing };
    }
    let opened: Buffer;
    try {
      opened = await this.opener.open(body, forMs);
    } catch (error) {
      if (error instanceof BodyError) throw error;
      return { body: unreadableBody(body, context, `the body is not ${encoding}: ${(error as Error).message}`), release: nothing };
    }
    try {
      return { body: drainRecords(opened, context), release: () => this.opener.giveBack(opened) };
    } catch (error) {
      this.opener.giveBack(opened);
      throw error;
    }
  }
}

export function mediaTypeOf(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0].trim().toLowerCase();
}
