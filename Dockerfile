# Two stages: one that builds, one that holds the binary, the libraries that it names, and nothing else: no shell, no package
# manager, nothing to keep patched but the C library.
FROM rust:1-bookworm AS build
WORKDIR /src

# The dependencies first, with empty crates in the place of ours: they are compiled anew only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY crates/stratum-api/Cargo.toml crates/stratum-api/
COPY crates/stratum-auth/Cargo.toml crates/stratum-auth/
COPY crates/stratum-bodies/Cargo.toml crates/stratum-bodies/
COPY crates/stratum-cipher/Cargo.toml crates/stratum-cipher/
COPY crates/stratum-classify/Cargo.toml crates/stratum-classify/
COPY crates/stratum-cli/Cargo.toml crates/stratum-cli/
COPY crates/stratum-console/Cargo.toml crates/stratum-console/
COPY crates/stratum-engine/Cargo.toml crates/stratum-engine/
COPY crates/stratum-events/Cargo.toml crates/stratum-events/
COPY crates/stratum-frames/Cargo.toml crates/stratum-frames/
COPY crates/stratum-lifecycle/Cargo.toml crates/stratum-lifecycle/
COPY crates/stratum-metadata/Cargo.toml crates/stratum-metadata/
COPY crates/stratum-policy/Cargo.toml crates/stratum-policy/
COPY crates/stratum-remote/Cargo.toml crates/stratum-remote/
COPY crates/stratum-storage/Cargo.toml crates/stratum-storage/
COPY crates/stratum-tiering/Cargo.toml crates/stratum-tiering/
COPY stratum/Cargo.toml stratum/
COPY fuzz/Cargo.toml fuzz/
RUN sed -i '/^\[\[/,$d' crates/*/Cargo.toml stratum/Cargo.toml fuzz/Cargo.toml \
    && for crate in crates/* fuzz; do mkdir $crate/src && touch $crate/src/lib.rs; done \
    && mkdir stratum/src && echo "fn main() {}" > stratum/src/main.rs \
    && cargo build --release --locked -p stratum

COPY . .
RUN find crates stratum -name "*.rs" -exec touch {} + && cargo build --release --locked -p stratum

# What the image holds: the binary with its libraries, the roots of TLS (for a remote store, webhooks, and a backup to an S3
# endpoint), a user, and a configuration to begin with. Names of functions are a sixth of the binary and stay behind: what a panic
# says has its file and line without them.
RUN mkdir -p /image/usr/local/bin /image/etc/ssl/certs && strip -o /image/usr/local/bin/stratum target/release/stratum \
    && ldd target/release/stratum | grep -o '/[^ ]*' | xargs -I{} cp --parents -L {} /image/ \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'stratum:x:10001:10001::/data:/nonexistent' > /image/etc/passwd && echo 'stratum:x:10001:' > /image/etc/group \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && install -d -m 1777 /image/tmp && install -d -m 0700 /owned/data && install -d -m 0755 /owned/etc/stratum \
    && printf '[server]\naddress = ":9000"\ndata = ["/data"]\n# `docker stop` kills after ten seconds.\ngrace_seconds = 8\n' \
        > /owned/etc/stratum/stratum.toml

FROM scratch
COPY --from=build /image/ /
COPY --from=build --chown=10001:10001 /owned/ /
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 9000
# Whatever the configuration says of address and TLS.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["stratum", "health", "--config", "/etc/stratum/stratum.toml"]
ENTRYPOINT ["stratum"]
CMD ["server", "--config", "/etc/stratum/stratum.toml"]
