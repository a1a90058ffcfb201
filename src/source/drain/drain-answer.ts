/** What a drain answers, in the form that each kind of sender reads. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { mediaTypeOf } from './drain-content.ts';
import type { DrainOutcome } from './drain-counters.ts';
import type { DrainKind } from './drain-records.ts';
import { otlpProtobufAnswer, otlpProtobufStatus } from './otlp-protobuf.ts';

export const protobufType = 'application/x-protobuf';

export interface Answer {
  readonly status: number;
  readonly outcome: DrainOutcome;
  readonly message?: string;
  readonly refused?: number;
  /** When to come back; with 429 and 503. */
  readonly retryAfterMs?: number;
}

/** Logplex understands only Content-Length and wants no body; OTLP wants its answer in the encoding of its request. */
export function sendAnswer(kind: DrainKind, request: FastifyRequest, reply: FastifyReply, answer: Answer): FastifyReply {
  const { status, outcome, message = '', retryAfterMs = 1000, refused = 0 } = answer;
  reply.code(status);
  if (status === 503 || status === 429) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  if (kind === 'logplex' || (status === 200 && kind === 'json')) return reply.header('content-length', '0').send();
  if (kind === 'otlp' && mediaTypeOf(request) === protobufType) {
    reply.header('content-type', protobufType);
    return reply.send(status === 200 ? otlpProtobufAnswer(refused, message) : otlpProtobufStatus(message));
  }
  if (status !== 200) return reply.send({ error: outcome, message });
  return reply.send(refused > 0 ? { partialSuccess: { rejectedLogRecords: String(refused), errorMessage: message } } : {});
}
