/** `during`: hours that count, in a time zone. */
import { z } from 'zod';
import type { BusinessHours } from '../processors/rule.ts';
import { strict } from './issues.ts';

const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const daysExpected = 'days such as mon-fri or [mon, wed, fri]';
const hoursExpected = 'hours such as "12:00-22:00", the first before the second';
const zoneExpected = 'a time zone such as UTC or Europe/Berlin';

const days = z
  .union([z.string(), z.array(z.string()).min(1)], { error: daysExpected })
  .refine((value) => parseDays(value) !== undefined, { error: daysExpected })
  .transform((value) => parseDays(value) ?? []);

const hours = z
  .string({ error: hoursExpected })
  .refine((text) => parseHours(text) !== undefined, { error: hoursExpected })
  .transform((text) => parseHours(text) ?? [0, 0]);

const zone = z.string({ error: zoneExpected }).refine(isZone, { error: zoneExpected });

export const businessHours = strict({
  days: days.optional().describe('Days of the week: a range `mon-fri`, or a list. Default: all.'),
  hours: hours
    .optional()
    .describe('From and to, `"12:00-22:00"`, the end not included; quoted, or YAML may read it otherwise. Default: all day.'),
  zone: zone.default('UTC').describe('The time zone of both.'),
}).transform((value): BusinessHours => {
  const [startMinute, endMinute] = value.hours ?? [0, 1440];
  return { days: value.days ?? [0, 1, 2, 3, 4, 5, 6], startMinute, endMinute, zone: value.zone };
});

/** Day numbers, 0 = Sunday, in order; a range may run over the end of the week. */
function parseDays(value: string | readonly string[]): number[] | undefined {
  const chosen = new Set<number>();
  for (const text of typeof value === 'string' ? value.split(',') : value) {
    const [from, to, more] = text.trim().toLowerCase().split('-');
    const first = dayNames.indexOf(from);
    const last = to === undefined ? first : dayNames.indexOf(to);
    if (first < 0 || last < 0 || more !== undefined) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      chosen.add(day);
      if (day === last) break;
    }
  }
  return [...chosen].sort((a, b) => a - b);
}

function parseHours(text: string): [number, number] | undefined {
  const found = /^(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$/.exec(text.trim());
  if (found === null) return undefined;
  const [startHour, startRest, endHour, endRest] = found.slice(1).map(Number);
  const start = startHour * 60 + startRest;
  const end = endHour * 60 + endRest;
  return startRest < 60 && endRest < 60 && start < end && end <= 1440 ? [start, end] : undefined;
}

function isZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return true;
  } catch {
    return false;
  }
}
