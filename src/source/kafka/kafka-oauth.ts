/**
 * Tokens for SASL OAUTHBEARER, by the client credentials grant (RFC 6749, 4.4). A token is kept and used again until it is due, which is
 * well before it expires: both drivers log in anew on a running connection, and a broker ends one whose token has expired.
 */
import { request } from 'undici';

export interface KafkaOauth {
  readonly mechanism: 'oauthbearer';
  readonly tokenEndpoint: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string;
}

export interface OauthToken {
  readonly value: string;
  /** When to take the next one, by `performance.now()`. */
  readonly renewAtMs: number;
}

/** Where an answer does not say how long its token lives. */
const lifetimeMsDefault = 300_000;
/** A token is renewed when a quarter of its life is left, or this, but no more than a half. */
const spareMs = 30_000;
const answerMs = 10_000;
const maxAnswerBytes = 64 * 1024;

/** The endpoint refused us, or answered what is no token: trying again cannot help. Its message never holds the secret. */
export class OauthRefusal extends Error {
  override name = 'OauthRefusal';
}

/**
 * The endpoint is away. Under this name kafkajs opens a new connection for the next attempt; one that was left in the middle of a login
 * takes no other.
 */
class OauthOutage extends Error {
  override name = 'KafkaJSConnectionError';
  readonly retriable = true;
}

export class OauthTokens {
  readonly #oauth: KafkaOauth;
  #token: OauthToken | undefined;
  #asking: Promise<OauthToken> | undefined;

  constructor(oauth: KafkaOauth) {
    this.#oauth = oauth;
  }

  /** One that is not due. Rejects with an `OauthRefusal`, or another Error while the endpoint is away. */
  token(): Promise<OauthToken> {
    if (this.#token !== undefined && performance.now() < this.#token.renewAtMs) return Promise.resolve(this.#token);
    this.#asking ??= this.#ask()
      .then((token) => {
        this.#token = token;
        return token;
      })
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }

  async #ask(): Promise<OauthToken> {
    const { tokenEndpoint, clientId, clientSecret, scope } = this.#oauth;
    const where = `token endpoint ${shown(tokenEndpoint)}`;
    const askedAtMs = performance.now();
    // As RFC 6749, 2.3.1 has it: both are form-encoded before they are joined.
    const login = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64');
    let status: number;
    let text: string;
    try {
      const answer = await request(tokenEndpoint, {
        method: 'POST',
        headers: {
          authorization: `Basic ${login}`,
          'content-type': 'application/x-www-form-urlencoded',
          accept: 'application/json',
          'user-agent': 'streamgauge',
        },
        body: new URLSearchParams({ grant_type: 'client_credentials', ...(scope === undefined ? {} : { scope }) }).toString(),
        signal: AbortSignal.timeout(answerMs),
      });
      status = answer.statusCode;
      text = await bounded(answer.body);
    } catch (error) {
      throw new OauthOutage(`${where} does not answer: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (status >= 500 || status === 429 || status === 408) throw new OauthOutage(`${where} answered ${status}`);
    const { access_token: value, expires_in: seconds, error } = parsed(text);
    if (status !== 200) throw new OauthRefusal(`${where} answered ${status}${isCode(error) ? ` (${error})` : ''}`);
    if (typeof value !== 'string' || value === '') throw new OauthRefusal(`${where} answered 200, but without an access_token`);
    const lifetimeMs = Number(seconds) > 0 ? Number(seconds) * 1000 : lifetimeMsDefault;
    return { value, renewAtMs: askedAtMs + lifetimeMs - Math.max(lifetimeMs / 4, Math.min(spareMs, lifetimeMs / 2)) };
  }
}

const known = new WeakMap<KafkaOauth, OauthTokens>();

/** The tokens of a connection: all its clients share them. */
export function tokensOf(oauth: KafkaOauth): OauthTokens {
  const tokens = known.get(oauth) ?? new OauthTokens(oauth);
  known.set(oauth, tokens);
  return tokens;
}

/** Without a query or a login that may be in it. */
function shown(endpoint: string): string {
  const { origin, pathname } = new URL(endpoint);
  return `${origin}${pathname}`;
}

function formEncoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

async function bounded(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > maxAnswerBytes) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** `invalid_client` and the like (RFC 6749, 5.2); free text could repeat what was sent. */
function isCode(error: unknown): error is string {
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error);
}
