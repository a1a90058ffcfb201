/** The quieter streams of the day: the worker's Redis scans, the cache's complaints, the audit log, the bastion's sshd. */
import { type Day, minute, second } from './day.ts';
import { appLine, jsonLine, type Line, syslogLine } from './lines.ts';
import { Random } from './random.ts';

/** A stretch of the day, [startMs, endMs). */
export interface Stretch {
  readonly startMs: number;
  readonly endMs: number;
}

/** What goes wrong backstage, and what only looks as if it did. */
export interface Incidents {
  readonly slowScans: readonly Stretch[];
  readonly auditSilences: readonly Stretch[];
}

const during = (stretches: readonly Stretch[], atMs: number) => stretches.some((s) => atMs >= s.startMs && atMs < s.endMs);

export function rejection(atMs: number, dyno: string, random: Random): Line {
  const bytes = 1_048_576 + random.between(16, 700_000);
  const text = `Error setting cache key catalogue:page:${random.between(1, 400)}: value of ${bytes} bytes exceeds maximum of 1048576`;
  return appLine(atMs, dyno, 50, { msg: text });
}

/** Adds the backstage lines minute by minute. */
export class Backstage {
  private readonly day: Day;
  private readonly incidents: Incidents;
  private readonly scans: Random;
  private readonly cache: Random;
  private readonly audit: Random;
  private readonly ssh: Random;
  private nextAuditMs: number;

  constructor(day: Day, seed: number, incidents: Incidents) {
    this.day = day;
    this.incidents = incidents;
    this.scans = Random.of(seed, 'scans');
    this.cache = Random.of(seed, 'cache');
    this.audit = Random.of(seed, 'audit');
    this.ssh = Random.of(seed, 'ssh');
    this.nextAuditMs = day.startMs + 20 * second;
  }

  /** Adds the lines of the minute that begins at `fromMs`. */
  addMinute(fromMs: number, out: Line[]): void {
    this.addScans(fromMs, out);
    this.addAudit(fromMs + minute, out);
    this.addBastion(fromMs, out);
    if (this.cache.chance(0.02)) out.push(rejection(fromMs + this.cache.between(0, minute), 'web.1', this.cache));
  }

  private addScans(fromMs: number, out: Line[]): void {
    for (let i = 0; i < 4; i++) {
      const atMs = fromMs + i * 15 * second + this.scans.between(0, 4000);
      const slow = during(this.incidents.slowScans, atMs);
      const seconds = slow ? this.scans.logNormal(0.23, 0.18) : Math.min(0.08, this.scans.logNormal(0.012, 0.4));
      const redis = { 'db.system.name': 'redis', 'db.operation.name': 'SCAN', 'db.client.operation.duration': Number(seconds.toFixed(4)) };
      out.push(appLine(atMs, 'worker.1', 30, { ...redis, 'server.address': 'redis-1', msg: 'sweep' }));
    }
  }

  /** Audit events come about once in 40 s by day and once in eight minutes by night, but not while their writer is stuck. */
  private addAudit(untilMs: number, out: Line[]): void {
    const random = this.audit;
    const what = ['document.shared', 'user.invited', 'role.changed', 'export.requested', 'price.changed', 'order.refunded'];
    while (this.nextAuditMs < untilMs) {
      const atMs = this.nextAuditMs;
      const hours = (atMs - this.day.startMs) / (60 * minute);
      const office = hours > 6.5 && hours < 23;
      this.nextAuditMs += Math.ceil(Math.min(random.exponential(office ? 40 * second : 8 * minute), 25 * minute));
      if (during(this.incidents.auditSilences, atMs)) continue;
      const fields = {
        'service.name': 'accounts',
        'event.name': `audit.${random.pick(what)}`,
        'user.id': `u-${random.between(1, 60)}`,
        msg: 'audit',
      };
      out.push(jsonLine(atMs, 'accounts-1', 30, fields));
    }
  }

  /** The internet knocks: a stranger tries one to three names and goes away. People of the team get in; cron opens sessions. */
  private addBastion(fromMs: number, out: Line[]): void {
    const random = this.ssh;
    for (let i = 0; i < 6; i++) {
      const atMs = fromMs + i * 10 * second + random.between(0, 3000);
      out.push(
        syslogLine(atMs, 'CRON', random.between(1000, 60_000), 'pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)'),
      );
    }
    for (let n = random.poisson(0.8); n > 0; n--) {
      const address = `198.19.${random.between(0, 256)}.${random.between(1, 255)}`;
      for (let tries = random.between(1, 4); tries > 0; tries--) {
        const atMs = fromMs + random.between(0, minute);
        out.push(...wrongUser(atMs, address, random.pick(['admin', 'root', 'test', 'ubuntu', 'oracle', 'user', 'pi', 'git']), random));
      }
    }
    for (let n = random.poisson(0.3 * this.day.load(fromMs)); n > 0; n--) {
      const text = `Accepted publickey for ${random.pick(['ada', 'grace', 'linus', 'ken'])} from 10.0.5.${random.between(20, 40)} port ${random.between(30_000, 65_000)} ssh2`;
      out.push(syslogLine(fromMs + random.between(0, minute), 'sshd', random.between(1000, 60_000), text));
    }
  }
}

/** The two lines sshd writes about one attempt with a name it does not know. */
export function wrongUser(atMs: number, address: string, user: string, random: Random): Line[] {
  const pid = random.between(1000, 60_000);
  const port = random.between(30_000, 65_000);
  return [
    syslogLine(atMs, 'sshd', pid, `Invalid user ${user} from ${address} port ${port}`),
    syslogLine(atMs + 1000, 'sshd', pid, `Failed password for invalid user ${user} from ${address} port ${port} ssh2`),
  ];
}
