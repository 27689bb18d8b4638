# syntax=docker/dockerfile:1
# Three stages: the app, the binary, and a small image that holds nothing else.

FROM node:20-bookworm-slim AS app
WORKDIR /src
COPY frontend/package.json frontend/package-lock.json frontend/
RUN cd frontend && npm ci --ignore-scripts --no-audit --no-fund
COPY graph/schema graph/schema
COPY frontend frontend
RUN cd frontend && npm run build

FROM golang:1.26-bookworm AS binary
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=app /src/frontend/dist frontend/dist
ARG VERSION=dev
# The boot programs that firmware loads over TFTP or HTTP, with their version:
# the last image has no package manager to ask.
RUN apt-get update && apt-get install -y --no-install-recommends ipxe \
    && mkdir -p /out/ipxe && cp -L /usr/lib/ipxe/undionly.kpxe /usr/lib/ipxe/snponly.efi /usr/lib/ipxe/ipxe.efi /out/ipxe/ \
    && dpkg-query --show --showformat='${Version}\n' ipxe > /out/ipxe/VERSION
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/slipway ./cmd/slipway \
    && mkdir -p /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=binary /out/slipway /usr/local/bin/slipway
COPY --from=binary /out/ipxe /usr/lib/ipxe
COPY --from=binary --chown=nonroot:nonroot /out/data /var/lib/slipway
ENV SLIPWAY_DATA_DIR=/var/lib/slipway
VOLUME /var/lib/slipway
EXPOSE 8080
USER nonroot
# GET /readyz is for the platform's own check: this image has no shell and no curl.
ENTRYPOINT ["/usr/local/bin/slipway"]
CMD ["serve"]
