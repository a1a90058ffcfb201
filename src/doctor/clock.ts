/** How far this machine's clock is from another's. */

/** HTTP dates are in whole seconds, and an answer takes its time. */
const tolerableMs = 5_000;

/** A remark on a difference worth one; `ahead`: milliseconds that the other clock is ahead of ours, NaN if it did not say. */
export function clockRemarks(whose: string, ahead: number): string[] {
  if (!(Math.abs(ahead) > tolerableMs)) return [];
  const seconds = Math.round(Math.abs(ahead) / 1000);
  return [
    `the clock of ${whose} is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} ours: see that both follow NTP (ours decides when a quiet stream is silent, and what is too old to send)`,
  ];
}

/** Of the newest record of a topic: its producers' clocks are ahead of ours, or ours is behind. An old one says nothing. */
export function newestRecordRemarks(newestMs: number, nowMs: number, futureSkewMs: number): string[] {
  if (!(newestMs - nowMs > tolerableMs)) return [];
  const ahead = Math.round((newestMs - nowMs) / 1000);
  return [
    `its newest record is dated ${ahead} s ahead of this machine's clock: see that producers and this machine follow NTP (events more than ${Math.round(futureSkewMs / 1000)} s ahead of their record are set aside)`,
  ];
}
