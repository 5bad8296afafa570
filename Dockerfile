# syntax=docker/dockerfile:1.10.0

# The program and nothing else: a static binary on an empty base, which has no
# shell, no package and nothing to update but itself.
#
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" -t statustail .
#   docker run -p 8080:8080 -e STATUSTAIL_MONGODB_URI=mongodb://host/?replicaSet=rs0 statustail

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
# The modules first: they change more seldom than the code, and stay cached.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What statustail version says. The repository is not in the build's reach, so
# the go command cannot know it.
ARG VERSION=
# noembed leaves out the embedded database: a container keeps no files, so it
# needs a MongoDB. timetzdata carries the time zones, which an empty base
# does not have.
RUN CGO_ENABLED=0 go build -trimpath -tags noembed,timetzdata -ldflags "-s -w -X main.version=${VERSION}" -o /statustail ./cmd/statustail

FROM scratch
ARG VERSION=
LABEL org.opencontainers.image.title="statustail" org.opencontainers.image.version="${VERSION}" org.opencontainers.image.licenses="MIT"
# For MongoDB over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /statustail /statustail
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# The operators' listener is for the container's network: publish 8080 only.
ENV STATUSTAIL_LISTEN=:8080 STATUSTAIL_OPS_LISTEN=:9090
EXPOSE 8080 9090
# There is no curl here; the program asks itself. It is healthy when /readyz
# says so: also while MongoDB is away, once it has been there.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/statustail", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/statustail"]
CMD ["serve"]
