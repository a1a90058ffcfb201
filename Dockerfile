# The image of the command. Not built where it was written (no container engine there): a test holds its paths against the tree.
#   docker build --build-arg COMMIT=$(git rev-parse HEAD) --build-arg BUILT_AT=$(date -u +%FT%TZ) -t streamgauge .
FROM node:20-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The compiler is an optional dependency of its own package, so none is left out here.
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
COPY processors ./processors
COPY schemas ./schemas
RUN npm run build

FROM node:20-slim
WORKDIR /app
ENV NODE_ENV=production
COPY package.json package-lock.json .npmrc ./
# Without scripts: nothing of ours is built here, and nothing of others' is run. Optional dependencies need a compiler.
RUN npm ci --omit=dev --omit=optional --ignore-scripts && npm cache clean --force
COPY --from=build /app/dist ./dist
COPY processors/rules ./processors/rules
ARG COMMIT=unknown
ARG BUILT_AT=unknown
ENV STREAMGAUGE_COMMIT=$COMMIT STREAMGAUGE_BUILT_AT=$BUILT_AT
# State belongs into a volume: without one a new container begins with nothing.
RUN mkdir /data && chown node:node /data
VOLUME /data
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/live').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/src/cli.js"]
CMD ["run", "-c", "/etc/streamgauge/streamgauge.yaml"]
