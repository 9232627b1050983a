#!/bin/sh
# Starts a process of Flink or Beam's job server; further arguments go to it:
#
#   flink.sh jobmanager  [-Dkey=value …]
#   flink.sh taskmanager [-Dkey=value …]
#   flink.sh jobserver   --flink-master=jobmanager:8081 [--job-port=8099 …]
#   flink.sh application [-Dkey=value …] -- /opt/pulseboard/pipeline submit …   a JobManager for this job alone
#   flink.sh zookeeper   where several JobManagers elect one
#
# FLINK_LIB is the folder of the jars, FLINK_CONF that of flink-conf.yaml, FLINK_STATE where a TaskManager,
# and nobody else, has its state while it runs, on a disk. FLINK_PROPERTIES are further lines of
# flink-conf.yaml, as Flink's own image has them: of a key that stands twice the last counts.
set -eu
lib=${FLINK_LIB:-/opt/flink/lib}
conf=${FLINK_CONF:-/opt/flink/conf}
export FLINK_PLUGINS_DIR="$lib/../plugins" # File systems such as S3, each with classes of its own.
role=${1:?jobmanager, taskmanager, jobserver, application or zookeeper}
shift
if [ -n "${FLINK_PROPERTIES:-}" ] && [ "$role" != zookeeper ]; then
  more=$(mktemp -d) # The folder itself may be one that nobody can write.
  { cat "$conf/flink-conf.yaml" && printf '\n%s\n' "$FLINK_PROPERTIES"; } >"$more/flink-conf.yaml"
  conf=$more
fi

# Warnings on the standard error. An end at once when memory is full: the rest goes on without it.
java="java -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -Dorg.slf4j.simpleLogger.defaultLogLevel=${FLINK_LOG_LEVEL:-warn}"
java="$java -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX"
for package in lang lang.reflect net io nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
  java="$java --add-opens=java.base/java.$package=ALL-UNNAMED" # As Flink's own scripts do for Java 17.
done
java="$java --add-opens=java.base/sun.nio.ch=ALL-UNNAMED"
# A start is what a fault costs, and most of it is compiling: who only directs stays with Java's first compiler.
directs="$java -XX:TieredStopAtLevel=1"

# The memory of a JVM is what flink-conf.yaml gives its parts: heap, direct memory, classes.
sum() {
  total=0
  for key in "$@"; do
    total=$((total + $(sed -n "s/^$key: *\([0-9]*\)m$/\1/p" "$conf/flink-conf.yaml" | tail -n 1)))
  done
  echo "${total}m"
}

case $role in
jobmanager)
  # shellcheck disable=SC2086 # Words, not one.
  exec $directs -Xmx"$(sum jobmanager.memory.heap.size)" -cp "$lib/*" \
    org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint --configDir "$conf" "$@"
  ;;
application)
  # shellcheck disable=SC2086
  exec $directs -Xmx"$(sum jobmanager.memory.heap.size)" -cp "$lib/*" pulseboard.flink.Application --configDir "$conf" "$@"
  ;;
taskmanager)
  t=taskmanager.memory
  # What is here is of a process that has ended: its state is in the checkpoints.
  state=${FLINK_STATE:?a folder on a disk, for this TaskManager alone}
  rm -rf "$state"/*
  # shellcheck disable=SC2086
  exec $java -Xmx"$(sum $t.task.heap.size $t.framework.heap.size)" \
    -XX:MaxDirectMemorySize="$(sum $t.task.off-heap.size $t.framework.off-heap.size $t.network.max)" \
    -XX:MaxMetaspaceSize="$(sum $t.jvm-metaspace.size)" -cp "$lib/*" \
    org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$conf" -Dstate.backend.rocksdb.localdir="$state" "$@"
  ;;
jobserver)
  # shellcheck disable=SC2086
  exec $directs -Xmx256m -cp "$lib/*" org.apache.beam.runners.flink.FlinkJobServerDriver --flink-conf-dir="$conf" "$@"
  ;;
zookeeper)
  # Of zoo.cfg in the folder of the configuration; it came with Flink's jars.
  # shellcheck disable=SC2086
  exec $directs -Xmx128m -cp "$lib/*" org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.quorum.QuorumPeerMain "$conf/zoo.cfg"
  ;;
*)
  echo "flink.sh: $role is none of jobmanager, taskmanager, jobserver, application and zookeeper" >&2
  exit 2
  ;;
esac
