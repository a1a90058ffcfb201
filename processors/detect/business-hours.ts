/** Time that counts for a silence: the part of a span that lies in the hours a rule names, in the rule's zone. */
import type { BusinessHours } from '../rule.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Milliseconds of [fromMs, toMs) inside the hours; all of them without hours. */
export function exposureMs(fromMs: number, toMs: number, hours: BusinessHours | undefined): number {
  if (hours === undefined || toMs <= fromMs) return Math.max(0, toMs - fromMs);
  let total = 0;
  // A day before and after, because the zone's days do not start where UTC's do.
  const lastDay = Math.floor(toMs / dayMs) + 1;
  for (let day = Math.floor(fromMs / dayMs) - 1; day <= lastDay; day++) {
    if (!hours.days.includes(weekday(day))) continue;
    const start = zonedMs(day, hours.startMinute, hours.zone);
    const end = zonedMs(day, hours.endMinute, hours.zone);
    total += Math.max(0, Math.min(end, toMs) - Math.max(start, fromMs));
  }
  return total;
}

/** Whether this instant lies in the hours. */
export function isDuring(timeMs: number, hours: BusinessHours | undefined): boolean {
  return hours === undefined || exposureMs(timeMs, timeMs + 1, hours) > 0;
}

/** Day of the week of a day number since 1970-01-01, a Thursday; 0 = Sunday. */
function weekday(day: number): number {
  return (((day + 4) % 7) + 7) % 7;
}

/** The instant at which it is `minute` minutes past midnight of calendar day `day` in the zone. A time that a clock change skips is taken as the change itself. */
function zonedMs(day: number, minute: number, zone: string): number {
  const wall = day * dayMs + minute * minuteMs;
  let instant = wall - zoneOffsetMs(wall, zone);
  instant = wall - zoneOffsetMs(instant, zone);
  return instant;
}

const formats = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, number>();

/** How far the zone's clocks are ahead of UTC at an instant. Kept by quarter of an hour: no zone has ever changed within one. */
function zoneOffsetMs(timeMs: number, zone: string): number {
  if (zone === 'UTC') return 0;
  const quarter = Math.floor(timeMs / (15 * minuteMs));
  const cacheKey = `${zone} ${quarter}`;
  const known = offsets.get(cacheKey);
  if (known !== undefined) return known;
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium', calendar: 'gregory' });
    formats.set(zone, format);
  }
  const instant = quarter * 15 * minuteMs;
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(instant)) part[type] = Number(value);
  const wall = Date.UTC(part.year, part.month - 1, part.day, part.hour % 24, part.minute, part.second);
  if (offsets.size > 4096) offsets.clear();
  offsets.set(cacheKey, wall - instant);
  return wall - instant;
}
