/** The parts of the config that speak of Kafka. */
import { z } from 'zod';
import { addFault, strict } from './issues.ts';
import { Secret } from './secret.ts';

export const secretText = z
  .string({ error: 'text' })
  .min(1, { error: 'text that is not empty' })
  .transform((text) => new Secret(text));

const brokerExpected = 'a broker such as kafka:9092';
const brokerPattern = /^(?:kafka(?:\+ssl)?:\/\/)?((?:[\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5})$/;
const broker = z.string({ error: brokerExpected }).regex(brokerPattern, { error: brokerExpected });
/** A list, or one text with commas, as an environment variable holds it (`kafka+ssl://a:9096,kafka+ssl://b:9096` is Heroku's). */
const brokers = z
  .union([z.array(broker).min(1), z.string().transform((text) => text.split(',').map((entry) => entry.trim()))], {
    error: 'a list of brokers such as ["kafka:9092"]',
  })
  .superRefine((list, context) => {
    if (list.some((entry) => !brokerPattern.test(entry)))
      addFault(context, { path: [], text: `expected ${brokerExpected}, or several with commas` });
  })
  .transform((list) => list.map((entry) => brokerPattern.exec(entry)?.[1] ?? entry));

const tokenEndpointExpected = 'an https:// address without a login in it (http:// only on this machine)';
const tokenEndpoint = z.string({ error: tokenEndpointExpected }).refine(
  (text) => {
    if (!URL.canParse(text)) return false;
    const { protocol, hostname, username, password } = new URL(text);
    const here = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
    return username === '' && password === '' && (protocol === 'https:' || (protocol === 'http:' && here));
  },
  { error: tokenEndpointExpected },
);

/** What each mechanism needs is checked in the refinement, so that a mistake names the key that is missing. */
const sasl = strict({
  mechanism: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'])
    .describe('How to log in: with `username` and `password`, or (`oauthbearer`) with a token of `tokenEndpoint`.'),
  username: z.string().min(1).optional().describe('The user.'),
  password: secretText.optional().describe('The password; best from a file or the environment.'),
  tokenEndpoint: tokenEndpoint.optional().describe('Where tokens are had, by the client credentials grant of OAuth 2.'),
  clientId: z.string().min(1).optional().describe('Who asks for a token.'),
  clientSecret: secretText.optional().describe('The secret of `clientId`; best from a file or the environment.'),
  scope: z.string().min(1).optional().describe('The scope to ask for.'),
}).transform(
  (
    given,
    context,
  ):
    | { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: Secret<string> }
    | { mechanism: 'oauthbearer'; tokenEndpoint: string; clientId: string; clientSecret: Secret<string>; scope?: string } => {
    const { mechanism, username, password, tokenEndpoint, clientId, clientSecret, scope } = given;
    const withPassword = { username, password };
    const withToken = { tokenEndpoint, clientId, clientSecret };
    const oauth = mechanism === 'oauthbearer';
    for (const [name, value] of Object.entries(oauth ? withToken : withPassword)) {
      if (value === undefined) addFault(context, { path: [], text: `expected \`${name}\` with mechanism ${mechanism}, found none` });
    }
    for (const [name, value] of Object.entries(oauth ? withPassword : { ...withToken, scope })) {
      if (value !== undefined)
        addFault(context, { path: [name], place: 'key', text: `expected no \`${name}\` with mechanism ${mechanism}` });
    }
    if (mechanism === 'oauthbearer') {
      if (tokenEndpoint === undefined || clientId === undefined || clientSecret === undefined) return z.NEVER;
      return { mechanism, tokenEndpoint, clientId, clientSecret, scope };
    }
    return username === undefined || password === undefined ? z.NEVER : { mechanism, username, password };
  },
);

const tls = z.union(
  [
    z.boolean(),
    strict({
      ca: z.string().min(1).optional().describe("Whom to trust: a PEM file, or the PEM text itself. Default: the system's certificates."),
      cert: z.string().min(1).optional().describe("The client's certificate: a PEM file or its text."),
      key: secretText.optional().describe("The client's key: a PEM file or its text."),
      servername: z.string().min(1).optional().describe('The name to expect in the certificate, where it is not the host.'),
    }),
  ],
  { error: 'true, false, or a map of ca, cert, key and servername' },
);

const driver = z
  .enum(['auto', 'kafkajs', 'rdkafka'])
  .default('auto')
  .describe('Which Kafka client: `rdkafka` is librdkafka, compiled at installation; `auto` takes it where it loads, else `kafkajs`.');

/** How to reach the brokers. */
export const connection = {
  brokers: brokers.optional().describe('Where Kafka is. A sink without brokers takes the connection of the first Kafka source.'),
  driver,
  clientId: z.string().min(1).optional().describe('How the client names itself. Default: streamgauge.'),
  sasl: sasl.optional().describe('How to log in.'),
  tls: tls.optional().describe('`true`, or a map, for an encrypted connection.'),
};

const isoExpected = 'an ISO 8601 time with its zone, such as 2026-11-01T00:00:00Z';
const isoTime = z
  .string({ error: isoExpected })
  .refine((text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)), {
    error: isoExpected,
  })
  .transform((text) => Date.parse(text));

export const kafkaFrom = z.union(
  [z.enum(['committed', 'earliest', 'latest']), strict({ timestamp: isoTime.describe('Records of this time or later.') })],
  {
    error: 'committed, earliest, latest or {timestamp: …}',
  },
);

const topicExpected = 'the name of a topic: letters, digits, . _ -, at most 249';
export const topic = z.string({ error: topicExpected }).regex(/^[\w.-]{1,249}$/, { error: topicExpected });

const topicsExpected = `${topicExpected}; or a pattern between slashes, such as /^logs-/`;
/** A name, or a `/pattern/` of names in JavaScript's syntax. */
export const topicOrPattern = z.string({ error: topicsExpected }).refine(
  (text) => {
    if (!text.startsWith('/')) return /^[\w.-]{1,249}$/.test(text);
    if (text.length < 3 || !text.endsWith('/')) return false;
    try {
      return new RegExp(text.slice(1, -1), 'u') !== undefined;
    } catch {
      return false;
    }
  },
  { error: topicsExpected },
);
