/** `sources`: where records come from. */
import { z } from 'zod';
import { connection, kafkaFrom, secretText, topic, topicOrPattern } from './config-kafka.ts';
import { addFault, strict } from './issues.ts';
import { oneOf } from './one-of.ts';
import { positiveDuration, rate, size } from './scalars.ts';
import { Secret } from './secret.ts';

const dataset = (fallback: string) => z.string().min(1).default(fallback).describe('The dataset of events that do not name their own.');
/** The decoders there are; a test holds this against their own list. */
export const formats = ['auto', 'json', 'logfmt', 'logplex', 'syslog', 'cri', 'docker', 'access', 'plain'] as const;
const format = z.enum(formats).default('auto').describe('How records are written; `auto` looks at each.');

const kafkaSource = strict({
  ...connection,
  topics: z
    .array(topicOrPattern)
    .min(1)
    .describe('What to read: names, or `/patterns/` of names. New topics of a pattern, and new partitions, are found while it runs.'),
  group: z.string().min(1).default('streamgauge').describe('The consumer group. All its members must use the same driver and protocol.'),
  instanceId: z
    .string()
    .min(1)
    .optional()
    .describe('Static membership: a restart takes its partitions back without a rebalance. Each member its own; `rdkafka` only.'),
  protocol: z
    .enum(['classic', 'consumer'])
    .default('classic')
    .describe('The group protocol; `consumer` is that of KIP-848: Kafka 4 and `rdkafka` only.'),
  from: kafkaFrom
    .default('committed')
    .describe("Where to begin: at the group's commit (else the beginning), the `earliest` or `latest` record, or `{timestamp: …}`."),
  dataset: dataset('app'),
  format,
});

const pathExpected = 'a path like /drain/logplex (letters, digits and . _ ~ -)';
const pairExpected = 'user:password';
const largestBody = 64 * 1024 ** 2;
const bodyExpected = 'a size from 1kB to 64MiB';
const drainTopic = z.union([topic.transform((name) => ({ topic: name })), strict({ topic: topic.describe('Its name.'), ...connection })], {
  error: 'a topic, or a map of topic and brokers',
});
const drainSource = strict({
  path: z
    .string({ error: pathExpected })
    .regex(/^(\/(?!\.{1,2}(\/|$))[\w.~-]+)+$/, { error: pathExpected })
    .default('/drain/logplex')
    .describe('The endpoint. `/v1/logs` takes OTLP, `/drain/json` JSON, others Logplex.'),
  kind: z.enum(['logplex', 'json', 'otlp']).optional().describe('What is posted, where the path does not say it.'),
  credentials: z
    .array(
      z
        .string({ error: pairExpected })
        .regex(/^[^:]+:.+$/s, { error: pairExpected })
        .transform((pair) => new Secret(pair)),
    )
    .optional()
    .describe(
      '`user:password` pairs, all valid at once. An empty list lets everybody send; it must be written out where `http.listen` is not this machine alone.',
    ),
  dataset: dataset('heroku'),
  to: z
    .union([z.literal('engine'), strict({ kafka: drainTopic.describe('The topic to write to.') })], { error: 'engine, or {kafka: topic}' })
    .default('engine')
    .describe(
      '`engine`: a journal of its own, which is read here. `{kafka: topic}`: a topic, which a Kafka source reads, here or elsewhere.',
    ),
  rate: rate
    .optional()
    .describe(
      'What each drain token (user, or address, where there is none) may send; all tokens of one user together a hundred times that. Default: no limit.',
    ),
  maxBody: size
    .refine((bytes) => bytes >= 1000 && bytes <= largestBody, { error: bodyExpected })
    .optional()
    .describe('The largest body, as it is sent; four times that once decompressed. Default: 1MiB for Logplex, 10MiB else.'),
});

const fileSource = strict({
  path: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)], { error: 'a path, a glob, or a list of them' })
    .describe('A path, a glob, or a list; `-` is standard input.'),
  follow: z.boolean().default(false).describe('Go on when the file ends: new lines, new files, rotation.'),
  format,
  dataset: dataset('app'),
});

export const source = oneOf(
  'source',
  {
    kafka: kafkaSource.optional().describe('Topics of Kafka.'),
    drain: drainSource.optional().describe('What a drain posts over HTTP.'),
    file: fileSource.optional().describe('Files, followed or read once, or standard input.'),
  },
  {},
);

const url = z
  .url({ protocol: /^https?$/, error: 'an http or https URL' })
  .refine((text) => !/^https?:\/\/[^/]*@/.test(text), { error: 'a URL without user and password (there is `auth` for them)' });
const labelExpected = 'text of 1 to 256 characters';
const label = z.string({ error: labelExpected }).min(1, { error: labelExpected }).max(256, { error: labelExpected });
const lokiSink = strict({
  url: url.describe('Where Loki is, without `/loki/api/v1/push`.'),
  labels: strict({
    app: label.optional().describe('What the findings are about, e.g. shop.'),
    env: label.optional().describe('Where it runs, e.g. prod.'),
  })
    .prefault({})
    .describe('Labels of every line, beside `job`, `severity` and `detector`. Others would make a stream per value.'),
  tenant: z.string().min(1).optional().describe('The tenant, `X-Scope-OrgID`.'),
  auth: strict({ username: z.string().min(1).describe('The user.'), password: secretText.describe('The password.') })
    .optional()
    .describe('User and password.'),
  token: secretText.optional().describe('A bearer token.'),
  maxAge: positiveDuration
    .prefault('7d')
    .describe("Older findings are dropped, and counted; Loki's `reject_old_samples_max_age` would refuse them."),
  group: z
    .string()
    .min(1)
    .default('streamgauge-loki')
    .describe('The consumer group, where findings are shipped from the topic of the Kafka sink.'),
}).superRefine(({ auth, token }, context) => {
  if (auth !== undefined && token !== undefined) addFault(context, { path: [], text: 'expected either auth or token, found both' });
});

/** `- stdout:` alone is null in YAML. */
const stdoutSink = z.union([strict({}), z.null()], { error: 'nothing, or an empty map' });

export const sink = oneOf(
  'sink',
  {
    kafka: strict({ topic: topic.describe('Where findings go.'), ...connection })
      .optional()
      .describe('A topic of Kafka.'),
    loki: lokiSink
      .optional()
      .describe('Loki, shipped to in the background: from the topic of the Kafka sink beside it, else from a queue in the state folder.'),
    file: strict({ path: z.string().min(1).describe('One JSON line per finding is added to it.') })
      .optional()
      .describe('A file.'),
    stdout: stdoutSink.optional().describe('Standard output, one JSON line per finding.'),
  },
  {},
);
