/** Whatever the bytes, cutting a body into records takes time in proportion to them: the law of all kinds of drains, over hostile shapes. */
import { expect, test } from 'vitest';
import { type BodyContext, drainRecords } from '../../../../src/source/drain/drain-records.ts';
import { OtlpError } from '../../../../src/source/drain/otlp-records.ts';
import { protobufBytes } from '../../../../src/source/drain/protobuf.ts';

/** `unit` over and over, up to so many bytes. */
const fill = (bytes: number, unit: string): string => unit.repeat(Math.ceil(bytes / unit.length));
/** Log records in their place in a request. */
const inRequest = (logRecords: string): string => `{"resourceLogs":[{"scopeLogs":[{"logRecords":[${logRecords}]}]}]}`;
const deepJson = `{"body":${'{"arrayValue":{"values":['.repeat(35)}${']}}'.repeat(35)}},`;

function deepProtobuf(): Buffer {
  let value = protobufBytes(1, Buffer.from('x'));
  for (let i = 0; i < 35; i++) value = protobufBytes(5, protobufBytes(1, value));
  return protobufBytes(2, protobufBytes(5, value));
}
const hex = (bytes: number, unit: string | Buffer): Buffer => {
  const each = typeof unit === 'string' ? Buffer.from(unit, 'hex') : unit;
  return Buffer.alloc(Math.ceil(bytes / each.length) * each.length, each);
};

const shapes: Readonly<Record<string, (bytes: number) => string | Buffer>> = {
  newlines: (bytes) => fill(bytes, '\n'),
  'blanks and newlines': (bytes) => fill(bytes, ' \r\n\t'),
  'an open brace, then newlines': (bytes) => `{${fill(bytes, '\n')}`,
  'an open text, then newlines': (bytes) => `{"a${fill(bytes, '\n')}`,
  'good lines far apart': (bytes) => fill(bytes, `{"a":1}${'\n'.repeat(1000)}`),
  'open braces on lines': (bytes) => fill(bytes, '{\n'),
  'open texts on lines': (bytes) => fill(bytes, '{"a":"\n'),
  'open braces': (bytes) => fill(bytes, '{"a":'),
  'open brackets': (bytes) => fill(bytes, '['),
  'open brackets in pairs, on lines': (bytes) => fill(bytes, '[[\n'),
  quotes: (bytes) => fill(bytes, '"'),
  backslashes: (bytes) => `"${fill(bytes, '\\')}`,
  'closing braces': (bytes) => fill(bytes, '}'),
  'empty objects': (bytes) => fill(bytes, '{}'),
  'a list of empty objects': (bytes) => `[${fill(bytes, '{},')}{}]`,
  'a list of empty lists': (bytes) => `[${fill(bytes, '[],')}[]]`,
  'many resources': (bytes) => `{"resourceLogs":[${fill(bytes, '{},')}{}]}`,
  'many scopes': (bytes) => `{"resourceLogs":[{"scopeLogs":[${fill(bytes, '{},')}{}]}]}`,
  'log records that are numbers': (bytes) => inRequest(`${fill(bytes, '0,')}0`),
  'log records that are empty': (bytes) => inRequest(`${fill(bytes, '{},')}{}`),
  'log records that nest too deep': (bytes) => inRequest(`${fill(bytes, deepJson)}{}`),
  'attributes without number': (bytes) => inRequest(`{"attributes":[${fill(bytes, '{"key":"a"},')}{}]}`),
  'a resource of half the body, and records that nest too deep': (bytes) => {
    let keys = 0;
    const resource = fill(bytes / 2, '{"key":"00000"},').replaceAll('00000', () => String(keys++).padStart(5, '0'));
    const scopeLogs = `[{"logRecords":[${fill(bytes / 2, deepJson)}{}]}]`;
    return `{"resourceLogs":[{"resource":{"attributes":[${resource}{}]},"scopeLogs":${scopeLogs}}]}`;
  },
  'frames of nothing': (bytes) => fill(bytes, '0 <'),
  'frames of one byte': (bytes) => fill(bytes, '1 <'),
  'frames of nine bytes': (bytes) => fill(bytes, '7 <1>1 xy'),
  'frame heads on lines': (bytes) => fill(bytes, '\n1 <1>1 '),
  'lengths past the end': (bytes) => fill(bytes, '9999999 <'),
  digits: (bytes) => fill(bytes, '1111111'),
  'lengths that end in one run of line ends': (bytes) => `${fill(bytes / 2, '99999 <1>1 \n')}${fill(bytes / 2, '\n')}x`,
  'lengths that end in two runs of line ends': (bytes) => {
    const lengths = [0.45, 0.75].map((part) => String(Math.floor(part * bytes)).padStart(7, '0'));
    const heads = fill(bytes / 3, `${lengths[0]} <1>1 \n${lengths[1]} <1>1 \n`);
    return `${heads}${fill(bytes / 3, '\n')}x${fill(bytes / 3, '\r')}x`;
  },
  'protobuf: resources of nothing': (bytes) => hex(bytes, '0a00'),
  'protobuf: scopes of nothing': (bytes) => protobufBytes(1, hex(bytes, '1200')),
  'protobuf: log records of nothing': (bytes) => protobufBytes(1, protobufBytes(2, hex(bytes, '1200'))),
  'protobuf: attributes of nothing': (bytes) => protobufBytes(1, protobufBytes(2, protobufBytes(2, hex(bytes, '3200')))),
  'protobuf: bodies of nothing': (bytes) => protobufBytes(1, protobufBytes(2, protobufBytes(2, hex(bytes, '2a00')))),
  'protobuf: log records that nest too deep': (bytes) => protobufBytes(1, protobufBytes(2, hex(bytes, deepProtobuf()))),
  'protobuf: one message in the other': (bytes) => {
    let value: Buffer = Buffer.alloc(0);
    // Each level repeats the length, so that the whole stays within the bytes.
    for (let level = 0; level < 3000 && value.length < bytes / 8; level++) value = protobufBytes(5, protobufBytes(1, value));
    return protobufBytes(1, protobufBytes(2, hex(bytes, protobufBytes(2, protobufBytes(5, value)))));
  },
};

const kinds: readonly (readonly [name: string, kind: BodyContext['kind'], mediaType: string])[] = [
  ['Logplex', 'logplex', 'application/logplex-1'],
  ['JSON', 'json', 'application/json'],
  ['lines of JSON', 'json', 'application/x-ndjson'],
  ['OTLP in JSON', 'otlp', 'application/json'],
  ['OTLP in protobuf', 'otlp', 'application/x-protobuf'],
];

const mib = 1024 ** 2;
/** Times below this are not compared: they are short, and half chance. */
const enoughMs = 60;

/** Time of the processor, ms: what else the machine does does not count. */
function cutMs(bodies: readonly Buffer[], kind: BodyContext['kind'], mediaType: string): number {
  const before = process.cpuUsage();
  for (const body of bodies) {
    try {
      drainRecords(body, { kind, mediaType, arrivedMs: 0, headers: undefined, maxRecords: 100_000, maxBytes: 40 * mib });
    } catch (error) {
      expect(error).toBeInstanceOf(OtlpError);
    }
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

test.each(Object.keys(shapes))('%s', (name) => {
  const whole = Buffer.from(shapes[name](mib));
  const quarter = Buffer.from(shapes[name](mib / 4));
  for (const [kindName, kind, mediaType] of kinds) {
    let wholeMs = 0;
    let ratio = Number.POSITIVE_INFINITY;
    // A run may pay for the garbage of others, so one of five has to do. Quadratic is four times as long in each.
    for (let run = 0; run < 5 && ratio > 3; run++) {
      wholeMs = cutMs([whole], kind, mediaType);
      ratio = wholeMs <= enoughMs ? 1 : wholeMs / cutMs([quarter, quarter, quarter, quarter], kind, mediaType);
    }
    expect(wholeMs, `${kindName}: ms of 1 MiB`).toBeLessThan(2000);
    expect(ratio, `${kindName}: 1 MiB at once beside four times a quarter`).toBeLessThan(3);
  }
});
