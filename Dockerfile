# Both can be pinned by digest: docs/deploying.md#the-image says how.
ARG NODE_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && rm package-lock.json .npmrc \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.[cm]ts' \) -delete
COPY src ./src
COPY sql ./sql

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
# Where the source is, and which commit: of your build.
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="pgnetd" \
      org.opencontainers.image.description="The pg_net API for any PostgreSQL, without the C extension" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}"

# Node alone: no npm, no headers.
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /app /app
RUN printf '#!/bin/sh\nexec node /app/src/cli/main.ts "$@"\n' > /usr/local/bin/pgnetd && chmod 755 /usr/local/bin/pgnetd \
 && groupadd --gid 1000 pgnetd && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /app --shell /usr/sbin/nologin pgnetd \
 && install -d -o pgnetd -g pgnetd /var/cache/pgnetd

WORKDIR /app
USER 1000:1000
ENV NODE_ENV=production
# Node runs the TypeScript as it is; what it compiles is kept, so that a start costs what compiled code costs. The cache
# is of use only to the user who wrote it, and is only read where the file system is read-only.
ENV NODE_COMPILE_CACHE=/var/cache/pgnetd
# Much of the memory is what was read and not collected yet: 8 MiB for it, half of Node's default, take hardly more time.
ENV NODE_OPTIONS=--max-semi-space-size=8
# Probes come from outside the container.
ENV PGNETD_HOST=0.0.0.0
RUN node src/cli/main.ts --help > /dev/null && node -e "import('/app/src/daemon/daemon.ts'); import('/app/src/ops/logger.ts'); import('/app/src/dns/query-worker.ts')"

# Host and port are known here as PGNETD_HOST and PGNETD_PORT: set them so, and not in a settings file.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "const { PGNETD_HOST: set = '', PGNETD_PORT: port } = process.env; const host = set.replace(/^(|0\\.0\\.0\\.0)$/, '127.0.0.1').replace(/^::$/, '::1'); require('http').get({ host, port: port || 9464, path: '/healthz' }, (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]

ENTRYPOINT ["node", "/app/src/cli/main.ts"]
CMD ["run"]
