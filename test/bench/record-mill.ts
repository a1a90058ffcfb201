/**
 * Records without end, for benchmarks that run longer than lines fit in memory: app JSON of 15 fields and 375 bytes in buffers that are
 * used again, in which only digits of fixed places are written anew (about 100 ns a line, so that the mill is not what is measured).
 */
import type { RecordBatch } from '../../processors/record.ts';

const firstMs = 1_000_000_000_000;
const addressesPerByte = 156;

function template(timeMs: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      level: 30,
      time: timeMs,
      pid: 4,
      hostname: 'web.1',
      'event.name': 'passkey.begin',
      'client.address': '10.100.100.100',
      'user.email': 'user000000@example.com',
      method: 'POST',
      'url.path': '/passkeys/begin',
      'http.response.status_code': 200,
      'http.server.request.duration': 0.111111,
      'service.name': 'shop',
      rid: '000000000000000',
      ua: 'Mozilla/5.0 (X11; Linux) 12',
      msg: 'request handled',
    }),
  );
}

/** The most different addresses a mill can write: each byte but the first has three digits and lies in 100 … 255. */
export const mostKeys = addressesPerByte ** 3;

export class RecordMill {
  readonly lineBytes: number;
  private readonly lines: Buffer[];
  private readonly timeAt: number;
  private readonly addressAt: number;
  private readonly emailAt: number;
  private readonly durationAt: number;
  private readonly ridAt: number;
  private offset = 0;

  constructor(batchRecords = 1_000) {
    const line = template(firstMs);
    const after = (text: string) => line.indexOf(text) + text.length;
    this.lineBytes = line.length;
    this.timeAt = after('"time":');
    this.addressAt = after('"client.address":"10.');
    this.emailAt = after('"user.email":"user');
    this.durationAt = after('request.duration":0.');
    this.ridAt = after('"rid":"');
    this.lines = Array.from({ length: batchRecords }, () => Buffer.from(line));
  }

  /** The next batch of partition 0 of `mill`. Its bytes are overwritten by the next call. `key` is below `mostKeys`, the value below a million. */
  batch(timeMs: (record: number) => number, key: (record: number) => number, value: (record: number) => number): RecordBatch {
    const from = this.offset;
    this.offset += this.lines.length;
    const records = this.lines.map((line, i) => {
      const number = from + i;
      const keyNumber = key(number);
      const valueNumber = value(number);
      digits(line, this.timeAt, 13, timeMs(number));
      digits(line, this.addressAt, 3, 100 + Math.floor(keyNumber / addressesPerByte ** 2));
      digits(line, this.addressAt + 4, 3, 100 + (Math.floor(keyNumber / addressesPerByte) % addressesPerByte));
      digits(line, this.addressAt + 8, 3, 100 + (keyNumber % addressesPerByte));
      digits(line, this.emailAt, 6, valueNumber);
      digits(line, this.durationAt, 6, (valueNumber * 7919) % 1_000_000);
      digits(line, this.ridAt, 15, number);
      return { value: line, offset: number, timestampMs: Number.NaN };
    });
    return { topic: 'mill', partition: 0, dataset: 'app', format: 'json', records };
  }
}

function digits(into: Buffer, at: number, count: number, value: number): void {
  let rest = value;
  for (let place = at + count - 1; place >= at; place--) {
    const next = Math.floor(rest / 10);
    into[place] = 48 + (rest - next * 10);
    rest = next;
  }
}
