# Two stages: one that builds, one that holds the binary and nothing to build with.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p stratum && strip target/release/stratum

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin stratum \
    && install -d -o stratum -g stratum -m 0750 /data
COPY --from=build /src/target/release/stratum /usr/local/bin/stratum
USER stratum
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["stratum", "health"]
ENTRYPOINT ["stratum"]
CMD ["server", "--data", "/data", "--address", "0.0.0.0:9000"]
