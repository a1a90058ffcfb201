/** `streamgauge.yaml`: what it may say. `src/config.ts` reads it, fills in `${…}` and makes the `Config` of it that the program uses. */
import { z } from 'zod';
import { connection, topic } from './config-kafka.ts';
import { sink, source } from './config-sources.ts';
import { detectOverride } from './detect.ts';
import { addFault, type Fault, strict } from './issues.ts';
import { oneOf } from './one-of.ts';
import { ruleId, severity, status } from './rule.ts';
import { duration, fieldPattern, positiveDuration, size } from './scalars.ts';
import { Secret } from './secret.ts';
import { isUnbuilt } from './unbuilt.ts';

const override = strict({
  severity: severity.optional().describe('Another severity.'),
  mute: duration.optional().describe('No second opening for a key within this time.'),
  status: status.optional().describe('Another status.'),
  detect: detectOverride.optional().describe('One detector changes the thresholds of its kind; a list takes the place of all.'),
});

const keyExpected = '16 hexadecimal digits, or a text of 16 characters or more';
const hashKey = z
  .string({ error: keyExpected })
  .min(16, { error: keyExpected })
  .transform((text) => new Secret(text));

const connectionsExpected = 'a whole number from 1 to 65535';
const listenExpected = 'an address and port such as 127.0.0.1:8080, [::1]:8080 or :8080';
const listen = z
  .string({ error: listenExpected })
  .refine((text) => parseListen(text) !== undefined, { error: listenExpected })
  .transform((text) => parseListen(text) ?? { host: '', port: 0 });

const extractorExpected = 'a JavaScript regular expression with a named group such as (?<amount>\\d+)';
const extractor = strict({
  name: z.string().min(1).describe('What to call it.'),
  dataset: z.string().min(1).optional().describe('Only lines of this dataset. Default: all.'),
  pattern: z
    .string({ error: extractorExpected })
    .refine((text) => (groupsOf(text)?.length ?? 0) > 0, { error: extractorExpected })
    .describe('A regular expression; its named groups become fields, with `__` for the `.` of a name (`user__email`).'),
  fields: z
    .record(z.string(), z.string().regex(fieldPattern))
    .default({})
    .describe('Named group -> field, where the group is not called like the field.'),
})
  .superRefine(({ pattern, fields }, context) => {
    const groups = groupsOf(pattern) ?? [];
    for (const name of Object.keys(fields)) {
      if (groups.includes(name)) continue;
      addFault(context, {
        path: ['fields', name],
        place: 'key',
        text: `expected one of the pattern's groups ${groups.join(', ')}, found "${name}"`,
      });
    }
  })
  .transform(({ name, dataset, pattern, fields }) => ({
    name,
    dataset,
    pattern,
    fields: Object.fromEntries((groupsOf(pattern) ?? []).map((group) => [group, fields[group] ?? group.replaceAll('__', '.')])),
  }));

const deadLetterKafka = z.union(
  [topic.transform((name) => ({ topic: name })), strict({ topic: topic.describe('Where they go.'), ...connection })],
  {
    error: 'a topic, or a map of topic and brokers',
  },
);

const stateKafka = z.union(
  [
    topic.transform((name) => ({ topic: name })),
    strict({
      topic: topic.describe('Its name. It must be there, with `cleanup.policy=compact`; one partition is enough.'),
      group: z
        .string()
        .min(1)
        .optional()
        .describe(
          'Whose checkpoints these are among others in the topic. Default: the group of the first Kafka source, else `streamgauge`.',
        ),
      ...connection,
    }),
  ],
  { error: 'a topic, or a map of topic and brokers' },
);

export const configSchema = strict({
  rules: z.array(z.string().min(1)).default(['builtin']).describe('Folders of rules; `builtin` are the ones that ship.'),
  sources: z
    .array(source)
    .min(1)
    .optional()
    .describe('Where records come from. Default: the drains /drain/logplex, /v1/logs and /drain/json.'),
  sinks: z.array(sink).min(1).optional().describe('Where findings go. Default: findings.jsonl in the state folder.'),
  state: strict({
    dir: z.string().min(1).default('./data').describe('A folder: journals, queues, and checkpoints where `kafka` is not there for them.'),
    kafka: stateKafka.optional().describe('A compacted topic for checkpoints, so that a run can go on from them on another machine.'),
  })
    .prefault({})
    .describe('Where checkpoints and journals are kept.'),
  deadLetter: oneOf(
    'place',
    { file: z.string().min(1).optional().describe('A file.'), kafka: deadLetterKafka.optional().describe('A topic.') },
    {},
  )
    .optional()
    .describe('Where records go that cannot be decoded. Default: dead-letter.jsonl in the state folder.'),
  hashKey: hashKey
    .optional()
    .describe("Keys the sketches' hash, so that nobody can steer them; a backtest needs the same one. Without it a published key is used."),
  memory: size.prefault('512MB').describe('What all state may take.'),
  http: strict({
    listen: listen.prefault('127.0.0.1:8080').describe('Where to listen.'),
    maxConnections: z
      .int({ error: connectionsExpected })
      .min(1, { error: connectionsExpected })
      .max(65_535, { error: connectionsExpected })
      .default(1000)
      .describe('Connections at once. One more takes the place of the longest idle one that has sent nothing yet that was taken.'),
    timeout: positiveDuration.prefault('10s').describe('What the headers of a request may take to arrive, and again its body.'),
  })
    .prefault({})
    .describe('Drains, health, metrics.'),
  overrides: z.record(ruleId, override).default({}).describe('Changes to rules, by id, without touching them.'),
  fields: z
    .record(z.string().min(1), z.string().regex(fieldPattern))
    .default({})
    .describe("A sender's name -> the field it stands for, before the built-in table. A form may follow it: `took|ms`."),
  extractors: z.array(extractor).default([]).describe('Regular expressions that take fields from plain text lines.'),
  time: strict({
    lateness: duration.prefault('10s').describe('How long to wait for stragglers, where a rule does not say it.'),
    idle: positiveDuration.prefault('60s').describe('After how long a silent partition no longer holds the others back.'),
    futureSkew: duration.prefault('5m').describe('An event further ahead of its record than this is set aside.'),
  })
    .prefault({})
    .describe('How time is judged.'),
});

export type ConfigFields = z.output<typeof configSchema>;

/** What is well said but cannot run yet, by name. */
export function notYetInConfig(config: ConfigFields): Fault[] {
  const faults: Fault[] = [];
  const refuse = (path: PropertyKey[], what: string) => faults.push({ path, text: `not yet: ${what} is not built in this version` });
  for (const [id, { detect }] of Object.entries(config.overrides)) {
    if (detect === undefined) continue;
    for (const detector of 'all' in detect ? detect.all : [detect.one]) {
      if (isUnbuilt(detector)) refuse(['overrides', id, 'detect'], `detector \`${detector.name}\``);
    }
  }
  return faults;
}

function parseListen(text: string): { host: string; port: number } | undefined {
  const found = /^(\[[\da-fA-F:.]+\]|[\w.-]*):(\d{1,5})$/.exec(text);
  if (found === null || Number(found[2]) > 65_535) return undefined;
  return { host: found[1].replace(/^\[|\]$/g, '') || '0.0.0.0', port: Number(found[2]) };
}

/** The named groups of a regular expression; undefined if it is none. */
function groupsOf(pattern: string): string[] | undefined {
  try {
    // An empty alternative matches the empty text, so every group is there, undefined.
    return Object.keys(new RegExp(`${pattern}|`).exec('')?.groups ?? {});
  } catch {
    return undefined;
  }
}
