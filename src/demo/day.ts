/** The day the demo lives through, and the clock its scenes are written by. */

/** A Tuesday: a working day for the rules that keep office hours. */
export const demoDay = '2025-06-17';
export const demoSeed = 20250617;

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;

/** Times of one day, written as people write them: `at('14:05')`, `at('14:05:30')`. UTC. */
export class Day {
  readonly startMs: number;
  readonly endMs: number;

  /** @param date `2025-06-17`. Throws a RangeError for anything that is not a date. */
  constructor(date: string) {
    this.startMs = Date.parse(`${date}T00:00:00Z`);
    if (Number.isNaN(this.startMs)) throw new RangeError(`the demo's day must be a date such as ${demoDay}, not "${date}"`);
    this.endMs = this.startMs + 24 * hour;
  }

  at(time: string): number {
    const [hours, minutes, seconds = '0'] = time.split(':');
    return this.startMs + Number(hours) * hour + Number(minutes) * minute + Number(seconds) * second;
  }

  /** How busy the shop is, 0..1: low at four in the morning, a shoulder at lunch, the peak in the evening. */
  load(atMs: number): number {
    const hours = (atMs - this.startMs) / hour;
    const slow = 0.5 - 0.5 * Math.cos(((hours - 4) / 24) * 2 * Math.PI);
    const evening = Math.exp(-(((hours - 19.5) / 2.2) ** 2));
    const lunch = Math.exp(-(((hours - 12.3) / 0.8) ** 2));
    return Math.min(1, 0.06 + 0.55 * slow + 0.32 * evening + 0.12 * lunch);
  }
}
