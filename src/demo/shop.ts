/** The shop's ordinary day: visitors, their requests, sign-ins, and what its dynos log about them. */
import { type Day, minute } from './day.ts';
import { appLine, jsonLine, type Line, routerLine } from './lines.ts';
import { Random, Zipf } from './random.ts';

const requestsPerSecondAtPeak = 3.4;
const visitors = 6000;
const products = 900;

const routes: readonly { readonly method: string; readonly path: string; readonly medianMs: number }[] = [
  { method: 'GET', path: '/products/:id', medianMs: 38 },
  { method: 'GET', path: '/', medianMs: 24 },
  { method: 'GET', path: '/search', medianMs: 95 },
  { method: 'GET', path: '/api/cart', medianMs: 18 },
  { method: 'POST', path: '/api/cart', medianMs: 31 },
  { method: 'GET', path: '/assets/app.js', medianMs: 3 },
  { method: 'GET', path: '/categories/:id', medianMs: 52 },
  { method: 'POST', path: '/passkey/begin', medianMs: 22 },
  { method: 'POST', path: '/checkout', medianMs: 180 },
  { method: 'GET', path: '/account', medianMs: 41 },
  { method: 'GET', path: '/health', medianMs: 2 },
];

/** What browsers ask for whether it is there or not. */
const wontFind = ['/favicon.ico', '/apple-touch-icon.png', '/apple-touch-icon-precomposed.png', '/.well-known/assetlinks.json', '/ads.txt'];

/** The address of a visitor; the benchmarking network of RFC 2544, and a few of the documentation's IPv6. */
export function addressOf(visitor: number): string {
  if (visitor % 9 === 4) return `2001:db8:${(visitor >> 4).toString(16)}::${(visitor & 15) + 1}`;
  return `198.18.${(visitor >> 8) & 255}.${visitor & 255}`;
}

/** The shop's request and sign-in lines, minute by minute. */
export class Shop {
  private readonly day: Day;
  private readonly random: Random;
  private readonly visitor = new Zipf(visitors, 0.85);
  private readonly route = new Zipf(routes.length, 1.1);
  private readonly product = new Zipf(products, 1);

  constructor(day: Day, seed: number) {
    this.day = day;
    this.random = Random.of(seed, 'shop');
  }

  /** Adds the lines of the minute that begins at `fromMs`. */
  addMinute(fromMs: number, out: Line[]): void {
    const random = this.random;
    const load = this.day.load(fromMs);
    for (let n = random.poisson(load * requestsPerSecondAtPeak * 60); n > 0; n--)
      this.addRequest(fromMs + random.between(0, minute), load, out);
    // The ledger is a service of its own, off Heroku: it writes JSON about every order it books, and a heartbeat when it books none.
    for (let atMs = fromMs + random.between(0, 5000); atMs < fromMs + minute; atMs += 500 + random.exponential(2500 / (0.4 + load))) {
      const booked = random.chance(0.7 * load);
      const fields = booked
        ? {
            name: 'ledger',
            'event.name': 'order.booked',
            'user.id': `u-${this.visitor.draw(random)}`,
            amount: random.between(5, 300),
            msg: 'booked',
          }
        : { name: 'ledger', 'event.name': 'heartbeat', msg: 'waiting for orders' };
      out.push(jsonLine(Math.floor(atMs), 'ledger-1', 30, fields));
    }
  }

  private addRequest(atMs: number, load: number, out: Line[]): void {
    const random = this.random;
    const visitor = this.visitor.draw(random);
    const address = addressOf(visitor);
    const dyno = random.chance(0.5) ? 'web.1' : 'web.2';
    const route = routes[this.route.draw(random)];
    const missing = random.chance(0.015);
    const path = missing ? random.pick(wontFind) : route.path.replace(':id', String(this.product.draw(random)));
    const timeout = random.chance(0.0002);
    const serviceMs = timeout ? 30_000 : Math.max(1, Math.round(random.logNormal(route.medianMs * (1 + 0.6 * load), 0.55)));
    const status = missing ? 404 : timeout ? 503 : random.chance(0.002) ? 500 : route.method === 'GET' && random.chance(0.12) ? 304 : 200;
    const query = path === '/search' ? `?q=${random.pick(['lamp', 'chair', 'teapot', 'rug', 'blue+vase'])}` : '';
    out.push(
      routerLine(
        atMs + serviceMs,
        {
          method: route.method,
          path: path + query,
          address,
          status,
          serviceMs,
          bytes: status === 304 ? 0 : random.between(120, 40_000),
          dyno,
          error: timeout ? { code: 'H12', desc: 'Request timeout' } : undefined,
        },
        random,
      ),
    );
    if (path.startsWith('/assets') || path === '/health' || timeout) return;
    const common = { 'client.address': address, msg: 'request' };
    const http = { 'http.request.method': route.method, 'http.route': missing ? undefined : route.path, 'url.path': path };
    const took = { 'http.response.status_code': status, 'http.server.request.duration': serviceMs / 1000 };
    out.push(appLine(atMs + serviceMs, dyno, status >= 500 ? 50 : 30, { ...http, ...took, ...common }));
    if (route.path === '/passkey/begin' && !missing) {
      // A visitor types the one address that is theirs, now and then the other one.
      const email = `visitor${visitor}${random.chance(0.08) ? '.work' : ''}@example.com`;
      out.push(appLine(atMs, dyno, 30, { 'event.name': 'passkey.begin', 'user.email': email, 'client.address': address, msg: 'passkey' }));
    }
  }
}
