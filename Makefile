# make run   builds and starts everything on this machine, with a live demo
# make test  runs all tests that need nothing but Go (and Node, for the page)
# make bench-fanout  compares the gateway's fan-out with centrifuge's (bench/fanout/README.md)

# The toolchain is that of go.mod's toolchain line, or this machine's Go where that is newer, and go fetches it when it is not here. A machine
# that cannot fetch it builds with the Go that it has, and is told so. make GOTOOLCHAIN=local asks for that; README says what is open then.
GO          ?= go
ifeq ($(origin GOTOOLCHAIN),undefined)
GOTOOLCHAIN := $(shell GOTOOLCHAIN=auto $(GO) env GOVERSION 2>/dev/null || echo local)
ifeq ($(GOTOOLCHAIN),local)
$(warning the toolchain of go.mod cannot be fetched: building with the Go of this machine, which may have known vulnerabilities (README))
endif
endif
export GOTOOLCHAIN

NPM         ?= npm
GOLANGCI    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
WEB_SOURCES := $(shell find web/src tools/webbuild -type f 2>/dev/null) web/package.json web/package-lock.json
HAVE_NPM    := $(shell command -v $(NPM) 2>/dev/null)

.PHONY: run build sbom vulns web generate test test-go test-web test-real flink flink-s3 bench-flink soak bench-fanout bin/bench-centrifuge race mutants prometheus verify verify-foreign lint bench clean e2e tour

run: build
	./bin/pulseboard run

build: web
	$(GO) build -o bin/ ./cmd/...

PROGRAMS = $(patsubst cmd/%,bin/%,$(wildcard cmd/*))

# Bills of materials (CycloneDX) beside the programs: Go modules, and the npm packages of the page.
sbom: build
	$(GO) run ./tools/sbom $(PROGRAMS)

# Fails when a program reaches a known vulnerability. VULNDB is a version of the database.
VULNDB ?= latest
vulns: build bin/bench-centrifuge
	$(GO) run ./tools/vulncheck -db $(VULNDB) $(PROGRAMS) bin/bench-centrifuge

# Without Node the programs still build; the page then says how to build it.
web: $(if $(HAVE_NPM),web/dist/index.html)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && $(NPM) ci --omit=dev --ignore-scripts --no-audit --no-fund
	@touch $@

web/dist/index.html: web/node_modules/.package-lock.json $(WEB_SOURCES)
	$(GO) run ./tools/webbuild

# Go code from configsvc/openapi.yaml; what it writes is committed.
generate:
	$(GO) generate ./...

test: test-web test-go

# The programs that tests start are built once, and not by each package. Six packages at a time, and four tests in
# each, the longest packages first: many wait for windows to pass more than they compute.
TEST_FLAGS ?=
test-go: build
	PULSEBOARD_PROGRAMS=$(abspath bin) $(GO) test -p 6 -parallel 4 $(TEST_FLAGS) ./e2e/... ./...

# The page's own tests run on Node.
test-web: web
	$(if $(HAVE_NPM),$(GO) run ./tools/webbuild -test,@echo "no npm: the page's tests are left out")

# Counters, gauges and points beside Prometheus' own engine, in a module of its own that nothing else needs: docs/semantics.md,
# "Beside Prometheus".
prometheus:
	cd e2e/prometheus && $(GO) test -count=1 $(TEST_FLAGS) ./...

# The page in a real browser against the real programs: needs Node and a Chromium, Debian's or what CHROMIUM names.
# E2E chooses by number: make e2e E2E="03 11". Pictures of every page go to web/e2e/out.
e2e: build web/node_modules/playwright-core/package.json
	node web/e2e/run.mjs $(E2E)

# docs/tour.md and its pictures, from the test that does the tour.
tour: build web/node_modules/playwright-core/package.json
	PULSEBOARD_TOUR=1 node web/e2e/run.mjs 16

web/node_modules/playwright-core/package.json: web/package.json web/package-lock.json
	cd web && $(NPM) ci --ignore-scripts --no-audit --no-fund
	@touch $@ web/node_modules/.package-lock.json

# The jars of Flink, for pulseboard run --runner flink, with the classes of deploy/flink. DATA is the data folder.
DATA ?= .pulseboard
MVN  ?= mvn
JARS  = $(MVN) -q -B dependency:copy-dependencies -DincludeScope=runtime

flink: $(DATA)/flink/lib/pulseboard-flink.jar

# Checkpoints on a storage that speaks S3: 97 MB that only clusters need.
flink-s3: $(DATA)/flink/plugins/s3/.complete

$(DATA)/flink/plugins/s3/.complete: Makefile
	$(MVN) -q -B dependency:copy -Dartifact=org.apache.flink:flink-s3-fs-presto:1.19.0 -DoutputDirectory=$(abspath $(@D))
	@touch $@

$(DATA)/flink/lib/.complete: deploy/flink/pom.xml
	$(JARS) -f $< -DoutputDirectory=$(abspath $(@D))
	@touch $@

$(DATA)/flink/lib/pulseboard-flink.jar: $(DATA)/flink/lib/.complete $(shell find deploy/flink/src -type f)
	$(MVN) -q -B package -f deploy/flink/pom.xml -Dout=$(abspath $(DATA)/flink/build)
	java -cp "$(DATA)/flink/build/pulseboard-flink.jar:$(DATA)/flink/lib/*" pulseboard.flink.HoldsForgotten $(DATA)/flink/lib/beam-runners-flink-*.jar
	install -m 644 $(DATA)/flink/build/pulseboard-flink.jar $@

.real/kafka/lib/.complete: e2e/testenv/pom.xml
	$(JARS) -f $< -DoutputDirectory=$(abspath $(@D))
	@touch $@

# Asks the config service whatever its OpenAPI file allows, and more.
.real/schemathesis/.complete: Makefile
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q schemathesis==4.32.5
	@touch $@

# Writes to Kafka as programs outside Java and Go do, with librdkafka.
.real/librdkafka/.complete: Makefile
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q confluent-kafka==2.16.1
	@touch $@

# Scrapes and sends remote write 2.0, which Debian's Prometheus does not know.
.real/prometheus/agent: $(wildcard e2e/prometheus/agent/*.go) e2e/prometheus/go.mod
	cd e2e/prometheus && $(GO) build -o $(abspath $@) ./agent

# Send as programs do that know StatsD.
.real/statsd/.complete: Makefile
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q statsd==4.0.1 datadog==0.56.0
	@touch $@

# Write as programs do that know InfluxDB.
.real/influx/.complete: Makefile
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q influxdb==5.3.2 influxdb-client==1.50.0
	npm install --silent --no-audit --no-save --prefix $(@D) influx@5.12.0 @influxdata/influxdb-client@1.35.0 @influxdata/influxdb-client-apis@1.35.0
	@touch $@

# Telegraf as it is, of its module, cut to a few plugins.
TELEGRAF := github.com/influxdata/telegraf@v1.36.4
.real/telegraf/.complete: Makefile
	mkdir -p $(@D)
	cd "$$($(GO) mod download -json $(TELEGRAF) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')" && $(GO) build -o $(abspath $(@D))/telegraf \
	  -tags custom,inputs.mock,outputs.influxdb,outputs.influxdb_v2,outputs.http,outputs.file,outputs.kafka,serializers.json,serializers.influx,serializers.prometheusremotewrite ./cmd/telegraf
	@touch $@

# Sends as programs do that OpenTelemetry instruments.
.real/opentelemetry/.complete: Makefile
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2
	@touch $@

# Write to Kafka what others are to read.
.real/otelkafka/otelkafka: e2e/otelkafka/main.go e2e/otelkafka/go.mod
	cd e2e/otelkafka && $(GO) build -o $(abspath $@) .

.real/connect/lib/.complete: e2e/testenv/connect/pom.xml
	$(JARS) -f $< -DoutputDirectory=$(abspath $(@D))
	@touch $@

# The ordinary tests that have servers, on real ones, the faults, and compose.yaml as local processes:
# needs a JDK, Maven, Python, Node, redis-server, PostgreSQL and nginx.
REAL_TESTS ?= ./sources ./e2e/property ./e2e/config ./e2e/faults ./e2e/ingest ./e2e/clock ./e2e/deploy ./e2e/testenv
REAL_TIME  ?= 45m
test-real: build .real/kafka/lib/.complete .real/schemathesis/.complete .real/librdkafka/.complete .real/statsd/.complete .real/prometheus/agent .real/influx/.complete .real/telegraf/.complete .real/opentelemetry/.complete .real/otelkafka/otelkafka .real/connect/lib/.complete
	$(MAKE) flink flink-s3 DATA=.real
	PULSEBOARD_PROGRAMS=$(abspath bin) PULSEBOARD_REAL=$(abspath .real) PULSEBOARD_SCHEMATHESIS=$(abspath .real/schemathesis/bin/schemathesis) $(GO) test -count=1 -p 1 -timeout $(REAL_TIME) $(REAL_FLAGS) $(REAL_TESTS)

# What takes too long for each change, about two hours; its output is committed under bench/results.
verify: mutants
	PROPERTY_SEED=11 PROPERTY_SECONDS=240 $(MAKE) test-real REAL_FLAGS=-v
	$(MAKE) verify-foreign
	$(MAKE) bench-flink

# An hour beside producers that others have written, half of it with their clocks and half with the broker's.
verify-foreign:
	PROPERTY_RUNNER=prism PROPERTY_TIMESTAMPS=CreateTime PROPERTY_SECONDS=1680 $(MAKE) test-real REAL_TIME=60m REAL_TESTS=./e2e/property REAL_FLAGS="-v -run TestBesideForeignProducers"
	PROPERTY_RUNNER=flink PROPERTY_TIMESTAMPS=LogAppendTime PROPERTY_SECONDS=1680 $(MAKE) test-real REAL_TIME=60m REAL_TESTS=./e2e/property REAL_FLAGS="-v -run TestBesideForeignProducers"

# The pipeline on Flink for 20 minutes, at 100,000 events a second, and on two TaskManagers.
bench-flink: build .real/kafka/lib/.complete
	$(MAKE) flink DATA=.real
	cp bin/pipeline .real/pipeline
	$(GO) run ./bench/flink --pipeline .real/pipeline --rate 20000 --for 20m --every 1m
	$(GO) run ./bench/flink --pipeline .real/pipeline --rate 100000 --for 2m --flink-heap 1g
	for p in 1 2; do $(GO) run ./bench/flink --pipeline .real/pipeline --taskmanagers 2 --parallelism $$p --for 2m; done

# The pipeline on Flink for two hours, with what lives in its heap: does anything grow?
soak: build .real/kafka/lib/.complete
	$(MAKE) flink DATA=.real
	cp bin/pipeline .real/pipeline
	$(GO) run ./bench/flink --pipeline .real/pipeline --rate 20000 --for 2h --every 5m --live

# The gateway's fan-out and that of centrifuge, a module of its own that nothing else needs, with the same frames,
# in turn: about seven minutes on a quiet machine; needs redis-server. make bench-fanout FANOUT="--connections 500 --for 10s"
FANOUT ?= --connections 4000 --for 30s --rounds 2
bench-fanout: bin/bench-centrifuge
	$(GO) build -o bin/ ./cmd/gateway
	$(GO) run ./bench/fanout/compare $(FANOUT)

bin/bench-centrifuge:
	cd bench/centrifuge && $(GO) build -o $(abspath $@) .

race:
	$(GO) test -race ./...

# Mistakes put into the pipeline one by one: the property test must see each. About ten minutes.
mutants:
	$(GO) test -v -count=1 -timeout 60m -tags mutants -run TestMutants ./e2e/property

lint:
	$(GO) run $(GOLANGCI) run ./...

# The parts; the whole is measured as bench/README.md says.
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./aggregate ./wire ./transforms ./sources ./results

clean:
	rm -rf bin web/node_modules
	find web/dist -mindepth 1 ! -name .gitignore -delete
