# dsf with PostgreSQL's programs for the private cluster.
#
#   docker build -t dsf .
#   docker run -v /etc/dsf:/etc/dsf:ro -v dsf:/var/lib/dsf -p 8443:8443 dsf
#   docker run … dsf serve --role bpe --config /etc/dsf/dsf.toml

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked && cp target/release/dsf /usr/local/bin/dsf

FROM debian:bookworm-slim
# The package would create a cluster of its own; dsf wants the programs only.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 postgresql-common \
    && echo 'create_main_cluster = false' >> /etc/postgresql-common/createcluster.conf \
    && apt-get install -y --no-install-recommends postgresql-15 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 2202 --home-dir /var/lib/dsf --create-home dsf
COPY --from=build /usr/local/bin/dsf /usr/local/bin/dsf

USER dsf
WORKDIR /var/lib/dsf
VOLUME /var/lib/dsf
# The folder of the configuration is read-only; data lives in the volume.
ENV DSF_DATABASE__DATA_DIR=/var/lib/dsf/data
EXPOSE 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=15s --start-period=10s --retries=5 \
    CMD ["dsf", "healthcheck", "--config", "/etc/dsf/dsf.toml"]
ENTRYPOINT ["dsf"]
CMD ["serve", "--config", "/etc/dsf/dsf.toml"]
