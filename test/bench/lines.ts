/** The lines that benchmarks read: app JSON of 15 fields and about 375 bytes, Zipf addresses, e-mail addresses from a large set; the same for a seed. */

export interface BenchLines {
  readonly lines: readonly Buffer[];
  readonly meanBytes: number;
}

/** Mulberry32: small, seeded, good enough to pick keys. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Ranks 0..n-1 with P(rank) ~ 1/(rank+1)^s, by inversion of the cumulative weights. */
export function zipf(n: number, s: number, random: () => number): () => number {
  const cumulative = new Float64Array(n);
  let total = 0;
  for (let i = 0; i < n; i++) {
    total += (i + 1) ** -s;
    cumulative[i] = total;
  }
  return () => {
    const target = random() * total;
    let low = 0;
    let high = n - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

const routes = ['/api/carts/:id', '/api/orders', '/login', '/passkeys/begin', '/products/:id', '/search', '/account', '/health'];

/** `count` lines, `perSecond` of them in each second of event time. */
export function appLines(count: number, keys: number, perSecond: number, seed = 1): BenchLines {
  const random = randomOf(seed);
  const nextKey = zipf(keys, 1.05, random);
  const startMs = Date.UTC(2026, 0, 5, 12);
  let bytes = 0;
  const lines = Array.from({ length: count }, (_, i) => {
    const rank = nextKey();
    const line = Buffer.from(
      JSON.stringify({
        level: 30,
        time: startMs + Math.floor((i * 1000) / perSecond),
        pid: 4,
        hostname: 'web.1',
        'event.name': 'passkey.begin',
        'client.address': `10.${(rank >> 16) & 255}.${(rank >> 8) & 255}.${rank & 255}`,
        'user.email': `user${Math.floor(random() * 500_000)}@example.com`,
        method: 'POST',
        'url.path': routes[Math.floor(random() * routes.length)],
        'http.response.status_code': random() < 0.95 ? 200 : 404,
        'http.server.request.duration': Math.round(random() * 1e6) / 1e6,
        'service.name': 'shop',
        rid: `${Math.floor(random() * 1e15)}`.padStart(15, '0'),
        ua: 'Mozilla/5.0 (X11; Linux) 128',
        msg: 'request handled',
      }),
    );
    bytes += line.length;
    return line;
  });
  return { lines, meanBytes: bytes / count };
}
