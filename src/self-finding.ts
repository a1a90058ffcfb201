/** What the watcher says of itself: findings of rules named `streamgauge.*`, never a silent zero. */
import type { Finding } from '../processors/detect/finding.ts';
import { type SelfFinding, selfFinding as written } from '../processors/detect/self-finding.ts';
import type { SaidLoss } from '../processors/holes.ts';
import { secrets } from './secret-mask.ts';

/** A sink was away; told to it as soon as it takes findings again. */
export function outageFinding(sink: string, reason: string, sinceMs: number, nowMs: number): Finding {
  return selfFinding({
    rule: 'streamgauge.sink_failed',
    title: 'A sink did not take findings',
    key: { sink },
    summary: `${sink} was away for ${Math.round((nowMs - sinceMs) / 1000)} s, sources waited: ${reason}`,
    value: nowMs - sinceMs,
    sinceMs,
    nowMs,
  });
}

/**
 * A source could not hand in records that were there. `position`: the next offset to read then. A source that finds the same loss again
 * after a restart tells it under the same id.
 */
export function lossFinding(
  source: string,
  partition: string,
  kind: string,
  records: number | undefined,
  position: number | undefined,
  nowMs: number,
): Finding {
  const why: Readonly<Record<string, string>> = {
    expired: 'retention took them before they were read',
    reset: 'the partition ends before the place to go on from, and is read from its beginning',
    damaged: 'they cannot be read any more',
  };
  return selfFinding({
    rule: 'streamgauge.records_lost',
    title: 'Records were lost before they were read',
    key: { source, partition },
    summary: `${records ?? 'an unknown number of'} records of ${partition} are lost: ${why[kind] ?? kind}`,
    measure: 'records',
    value: records ?? 0,
    identity: JSON.stringify([source, partition, kind, records ?? null, position ?? null]),
    sinceMs: nowMs,
    nowMs,
  });
}

/** Senders say that messages never came; `loss` is what was said since `sinceMs`. Known by the record that said it first. */
export function saidLossFinding(source: string, partition: string, loss: SaidLoss, sinceMs: number, nowMs: number): Finding {
  const { kind, messages, offset, token } = loss;
  const place = `said first at offset ${offset}${token === undefined ? '' : ` by drain ${token.slice(0, 100)}`}`;
  const upstream = kind === 'upstream';
  return selfFinding({
    rule: upstream ? 'streamgauge.messages_lost_upstream' : 'streamgauge.records_lost',
    title: upstream ? 'A sender lost messages before it sent them' : 'Batches held fewer messages than their senders said',
    key: { source, partition },
    summary: upstream
      ? `${messages} messages of ${partition} were lost before they were sent, as a line in the stream says (${place})`
      : `${messages} records of ${partition} are lost: they were missing, or could not be read, in the batches they came with (${place})`,
    measure: upstream ? 'messages' : 'records',
    value: messages,
    identity: JSON.stringify([source, partition, kind, offset]),
    sinceMs,
    nowMs,
  });
}

/** A source was away for longer than a restart takes; with `close` it is back. */
export function sourceFailedFinding(source: string, reason: string, sinceMs: number, nowMs: number, activity?: 'close'): Finding {
  const seconds = Math.round((nowMs - sinceMs) / 1000);
  return selfFinding({
    rule: 'streamgauge.source_failed',
    title: 'A source cannot be read',
    key: { source },
    summary:
      activity === 'close' ? `over: ${source} is read again after ${seconds} s` : `${source} cannot be read for ${seconds} s: ${reason}`,
    value: nowMs - sinceMs,
    sinceMs,
    nowMs,
    activity,
  });
}

/** Records wait and none came; with `close` one has. */
export function sourceStalledFinding(source: string, lagRecords: number, sinceMs: number, nowMs: number, activity?: 'close'): Finding {
  const seconds = Math.round((nowMs - sinceMs) / 1000);
  const waits = `${source}: ${lagRecords} records wait, and none has come for ${seconds} s`;
  return selfFinding({
    rule: 'streamgauge.source_stalled',
    title: 'A source stands still',
    key: { source },
    summary: activity === 'close' ? `over: ${source} goes on after ${seconds} s` : waits,
    value: nowMs - sinceMs,
    sinceMs,
    nowMs,
    activity,
  });
}

/** The process gives up; told to the sinks that still take something. */
export function stoppedFinding(reason: string, nowMs: number): Finding {
  return selfFinding({
    rule: 'streamgauge.stopped',
    title: 'streamgauge stopped, and not because it was told to',
    key: {},
    summary: `nothing is watched any more: ${reason.slice(0, 500)}`,
    measure: 'processes',
    value: 1,
    sinceMs: nowMs,
    nowMs,
  });
}

/** The errors of others are in it, so no secret may be left in it. */
export function selfFinding(told: SelfFinding): Finding {
  return written({ ...told, summary: secrets.mask(told.summary) });
}
