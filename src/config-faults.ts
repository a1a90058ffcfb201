/** Mistakes of a config that no part of it has alone: what one part asks of another. */
import type { ConfigFields } from '../schemas/config.ts';
import type { Fault } from '../schemas/issues.ts';

/** Paths of the server itself (`src/http`), which a drain cannot have. */
const serverPaths = new Set(['/live', '/healthz', '/metrics', '/version']);

/** What one part asks of another. */
export function faultsBetween(fields: ConfigFields): Fault[] {
  const faults: Fault[] = [];
  const sources = fields.sources ?? [];
  const drains = new Map<string, number>();
  const open = !isLoopback(fields.http.listen.host);
  const openDrain = 'expected credentials, because http.listen is not this machine alone (an empty list lets everybody send), found none';
  if (fields.sources === undefined && open) faults.push({ path: ['sources'], text: openDrain });
  for (const [index, { kafka, drain }] of sources.entries()) {
    const path = ['sources', index];
    if (kafka !== undefined && kafka.brokers === undefined) {
      faults.push({ path: [...path, 'kafka', 'brokers'], text: 'expected a list of brokers such as ["kafka:9092"], found nothing' });
    }
    for (const name of ['instanceId', 'protocol'] as const) {
      if (kafka?.driver !== 'kafkajs' || kafka[name] === undefined || kafka[name] === 'classic') continue;
      faults.push({
        path: [...path, 'kafka', name],
        text: `expected driver rdkafka or auto with \`${name}\`, found kafkajs, which has it not`,
      });
    }
    if (drain === undefined) continue;
    if (drains.has(drain.path)) {
      faults.push({
        path: [...path, 'drain', 'path'],
        text: `expected a path of its own, found that of sources[${drains.get(drain.path)}] again`,
      });
    }
    drains.set(drain.path, index);
    if (serverPaths.has(drain.path)) {
      const text = `expected a path that the server does not answer itself (${[...serverPaths].join(', ')}), found ${drain.path}`;
      faults.push({ path: [...path, 'drain', 'path'], text: `${text}; take one such as /drain${drain.path}` });
    }
    if (open && drain.credentials === undefined) faults.push({ path: [...path, 'drain', 'credentials'], text: openDrain });
  }
  faults.push(...lokiGroupsShared(fields));
  if (sources.some(({ kafka }) => kafka !== undefined)) return faults;
  const lacking = 'expected brokers, because there is no Kafka source whose connection it could take, found none';
  for (const [index, { drain }] of sources.entries()) {
    if (drain === undefined || drain.to === 'engine') continue;
    if (!('brokers' in drain.to.kafka && drain.to.kafka.brokers)) {
      faults.push({ path: ['sources', index, 'drain', 'to', 'kafka'], text: lacking });
    }
  }
  for (const [index, { kafka }] of (fields.sinks ?? []).entries()) {
    if (kafka !== undefined && kafka.brokers === undefined) faults.push({ path: ['sinks', index, 'kafka'], text: lacking });
  }
  const stateKafka = fields.state.kafka;
  if (stateKafka !== undefined && !('brokers' in stateKafka && stateKafka.brokers))
    faults.push({ path: ['state', 'kafka'], text: lacking });
  const { kafka } = fields.deadLetter ?? {};
  if (kafka !== undefined && !('brokers' in kafka && kafka.brokers)) faults.push({ path: ['deadLetter', 'kafka'], text: lacking });
  return faults;
}

/** Two sinks in one group would get half of the findings each. */
function lokiGroupsShared({ sinks = [] }: ConfigFields): Fault[] {
  const seen = new Map<string, number>();
  return sinks.flatMap(({ loki }, index): Fault[] => {
    if (loki === undefined) return [];
    const before = seen.get(loki.group);
    if (before === undefined) seen.set(loki.group, index);
    return before === undefined
      ? []
      : [{ path: ['sinks', index, 'loki'], text: `expected a \`group\` of its own, found that of sinks[${before}]: "${loki.group}"` }];
  });
}

/** Whether only this machine can reach it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\./.test(host);
}
