# The image of the command: compiled in two stages, run as nobody in particular, with nothing in it that compiles or installs.
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) --build-arg BUILT_AT=$(date -u +%FT%TZ) -t streamgauge .
# docs/deploy/README.md says how it was checked: its commands were run, in order, in a Debian of the same release; no engine built it.

# Debian's release is in the name, because the last stage installs a library by its name there.
ARG BASE=node:20-bookworm-slim

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The compiler is an optional dependency of its own package, so none is left out here.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY processors ./processors
COPY schemas ./schemas
RUN npm run build

# What runs beside it. Of all packages node-rdkafka alone may run a script: the one that compiles it.
FROM ${BASE} AS modules
RUN apt-get update \
  && apt-get install -y --no-install-recommends g++ libssl-dev libzstd-dev make python3 zlib1g-dev \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts
# Node's headers are in the image: nothing is fetched for it.
RUN npm_config_nodedir=/usr/local npm rebuild node-rdkafka
COPY docs/deploy/image/prune-modules.mjs /tmp/
RUN node /tmp/prune-modules.mjs node_modules

FROM ${BASE}
# librdkafka's TLS, and whom it trusts. What installs packages of Node is not needed any more.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates libssl3 \
  && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /opt/yarn-* \
  && rm -f /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg
WORKDIR /app
ENV NODE_ENV=production
COPY package.json LICENSE ./
COPY processors/rules ./processors/rules
COPY --from=modules /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# Here are the libraries it will find, so here it is seen to load. The rules that ship pass their own tests.
RUN node -e "require('node-rdkafka')" && node dist/src/cli.js check builtin
ARG COMMIT=unknown
ARG BUILT_AT=unknown
ENV STREAMGAUGE_COMMIT=$COMMIT STREAMGAUGE_BUILT_AT=$BUILT_AT
# The only place it writes to: without a volume a new container begins with nothing.
RUN mkdir /data && chown 1000:1000 /data
VOLUME /data
# By number, so that Kubernetes can tell that it is not root.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/live').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/src/cli.js"]
CMD ["run", "-c", "/etc/streamgauge/streamgauge.yaml"]
