/** What Heroku itself writes about the app: dynos that start, stop, cycle and crash, releases, metrics, Postgres, and one loss. */
import { type Day, minute, second } from './day.ts';
import { type Line, logplex, lossLine, Priority } from './lines.ts';
import { Random } from './random.ts';

const dynos = ['web.1', 'web.2', 'worker.1', 'scheduler.1'];
const commands: Readonly<Record<string, string>> = { web: 'node server.js', worker: 'node worker.js', scheduler: 'node scheduler.js' };

/** How many messages the one L10 line says were dropped. */
export const messagesLost = 214;

/** Metrics of dynos and add-ons, minute by minute, and the day's few events. */
export class Platform {
  private readonly day: Day;
  private readonly random: Random;
  private readonly ids: readonly string[];

  constructor(day: Day, seed: number) {
    this.day = day;
    this.random = Random.of(seed, 'platform');
    this.ids = dynos.map(() => `heroku.261104379.${this.random.uuid()}`);
  }

  /** Adds the metric lines of the minute that begins at `fromMs`. */
  addMinute(fromMs: number, out: Line[]): void {
    const random = this.random;
    const load = this.day.load(fromMs);
    dynos.forEach((dyno, i) => {
      for (let round = 0; round < 3; round++) {
        const atMs = fromMs + round * 20 * second + i * 900 + random.between(0, 400);
        const average = (scale: number) => (scale * (0.02 + load * random.next())).toFixed(2);
        const head = `source=${dyno} dyno=${this.ids[i]}`;
        const averages = `sample#load_avg_1m=${average(1)} sample#load_avg_5m=${average(0.8)} sample#load_avg_15m=${average(0.7)}`;
        out.push(logplex(atMs, Priority.dyno, 'heroku', dyno, `${head} ${averages}`, random.between(0, 1000)));
        const rss = 180 + 90 * load + 6 * random.next();
        const memory =
          `sample#memory_total=${(rss + 3.7).toFixed(2)}MB sample#memory_rss=${rss.toFixed(2)}MB sample#memory_cache=3.70MB ` +
          `sample#memory_swap=0.00MB sample#memory_pgpgin=${random.between(100_000, 200_000)}pages ` +
          `sample#memory_pgpgout=${random.between(90_000, 190_000)}pages sample#memory_quota=512.00MB`;
        out.push(logplex(atMs + 1, Priority.dyno, 'heroku', dyno, `${head} ${memory}`, random.between(0, 1000)));
      }
    });
    this.addPostgres(fromMs, load, out);
  }

  private addPostgres(fromMs: number, load: number, out: Line[]): void {
    const random = this.random;
    const metrics =
      `source=DATABASE addon=postgresql-flexible-35202 sample#current_transaction=${random.between(900_000, 999_999)} ` +
      `sample#db_size=10522799779bytes sample#tables=42 sample#active-connections=${random.between(8, 18)} ` +
      `sample#waiting-connections=0 sample#index-cache-hit-rate=0.99${random.between(100, 999)} sample#table-cache-hit-rate=0.98${random.between(100, 999)} ` +
      `sample#load-avg-1m=${(0.05 + 0.4 * load * random.next()).toFixed(3)} sample#read-iops=${random.between(0, 9)} ` +
      `sample#write-iops=${(load * 20 * random.next()).toFixed(3)} sample#memory-postgres=${random.between(190_000, 210_000)}.0kB`;
    out.push(logplex(fromMs + 7 * second, Priority.addOn, 'app', 'heroku-postgres', metrics));
    for (let n = random.poisson(2 * load); n > 0; n--) {
      const atMs = fromMs + random.between(0, minute);
      const line = random.between(2, 4000);
      const stamp = new Date(atMs).toISOString().replace('T', ' ').replace('Z', ' UTC');
      const session = `sql_error_code = 00000 time_ms = "${stamp}" pid="${random.between(100, 99_999)}" proc_start_time="${stamp}" user="u1" database="d1"`;
      const head = `${session} LOG:  duration: ${(1000 + random.exponential(800)).toFixed(3)} ms  statement: SELECT *`;
      out.push(logplex(atMs, Priority.addOn, 'app', 'postgres.1105947', `[YELLOW] [${line}-1]  ${head}`));
      out.push(
        logplex(
          atMs,
          Priority.addOn,
          'app',
          'postgres.1105947',
          `[YELLOW] [${line}-2] \tFROM orders WHERE total > ${random.between(1, 900)}`,
        ),
      );
    }
  }

  /** The day's releases, the daily cycling, a crash and its restart, and what Logplex dropped. */
  events(): Line[] {
    const out: Line[] = [];
    this.addDeploy(this.day.at('10:30'), 47, out);
    this.addDeploy(this.day.at('16:45:10'), 48, out);
    const cycles = ['05:12:31', '06:40:02', '07:55:47', '08:20:11'];
    dynos.forEach((dyno, i) => {
      const atMs = this.day.at(cycles[i]);
      out.push(logplex(atMs, Priority.dyno, 'heroku', dyno, 'Cycling'));
      this.addRestart(dyno, atMs + 20, out);
    });
    this.addCrash(this.day.at('11:47:09'), out);
    const lossMs = this.day.at('19:30:02');
    out.push(lossLine(lossMs, messagesLost, lossMs - 4 * second));
    return out;
  }

  private addDeploy(atMs: number, version: number, out: Line[]): void {
    const by = 'by user dev@example.com';
    out.push(logplex(atMs - 95 * second, Priority.api, 'app', 'api', `Build started ${by}`));
    out.push(logplex(atMs - 6 * second, Priority.api, 'app', 'api', 'Build succeeded'));
    // The release carries its cause's time and goes out first.
    out.push(logplex(atMs, Priority.api, 'app', 'api', `Release v${version} created ${by}`));
    out.push(logplex(atMs, Priority.api, 'app', 'api', `Deploy ${this.random.hex(8)} ${by}`));
    dynos.forEach((dyno, i) => {
      out.push(logplex(atMs + 400 * i, Priority.dyno, 'heroku', dyno, 'Restarting'));
      this.addRestart(dyno, atMs + 400 * i + 10, out);
    });
  }

  private addRestart(dyno: string, atMs: number, out: Line[]): void {
    const say = (afterMs: number, text: string) =>
      out.push(logplex(atMs + afterMs, Priority.dyno, 'heroku', dyno, text, this.random.between(0, 1000)));
    say(0, 'State changed from up to starting');
    say(900, 'Stopping all processes with SIGTERM');
    say(1400, 'Process exited with status 143');
    say(4200, `Starting process with command \`${commands[dyno.slice(0, dyno.indexOf('.'))]}\``);
    say(9100, 'State changed from starting to up');
  }

  private addCrash(atMs: number, out: Line[]): void {
    const say = (afterMs: number, text: string) =>
      out.push(logplex(atMs + afterMs, Priority.dyno, 'heroku', 'web.2', text, this.random.between(0, 1000)));
    // A stack trace leaves a dyno one line per message.
    const trace = ['RangeError: Invalid array length', '    at grow (/app/basket.js:88:14)', '    at /app/basket.js:12:3', ''];
    trace.forEach((text, i) => {
      out.push(logplex(atMs - 40 + i, Priority.app, 'app', 'web.2', text));
    });
    say(0, 'Process exited with status 1');
    say(70, 'State changed from up to crashed');
    say(10_000, 'State changed from crashed to starting');
    say(12_300, `Starting process with command \`${commands.web}\``);
    say(17_800, 'State changed from starting to up');
  }
}
