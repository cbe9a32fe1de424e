FROM node:24-bookworm-slim

LABEL org.opencontainers.image.title="pgnetd" \
      org.opencontainers.image.description="The pg_net API for any PostgreSQL, without the C extension" \
      org.opencontainers.image.licenses="Apache-2.0"

WORKDIR /app
ENV NODE_ENV=production

COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund && npm cache clean --force

COPY src ./src
COPY sql ./sql
RUN printf '#!/bin/sh\nexec node /app/src/cli/main.ts "$@"\n' > /usr/local/bin/pgnetd && chmod 755 /usr/local/bin/pgnetd

# Node runs the TypeScript as it is; what it compiles is kept, so that a start costs what compiled code costs. The cache
# is of use only to the user who wrote it.
RUN install -d -o node -g node /var/cache/pgnetd
USER 1000:1000
ENV NODE_COMPILE_CACHE=/var/cache/pgnetd
# Much of the memory is what was read and not collected yet: 8 MiB for it, half of Node's default, take hardly more time.
ENV NODE_OPTIONS=--max-semi-space-size=8
# Probes come from outside the container.
ENV PGNETD_HOST=0.0.0.0
RUN node src/cli/main.ts --help > /dev/null && node -e "import('/app/src/daemon/daemon.ts'); import('/app/src/ops/logger.ts')"

HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PGNETD_PORT || 9464}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

ENTRYPOINT ["node", "/app/src/cli/main.ts"]
CMD ["run"]
