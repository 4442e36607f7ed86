#!/bin/sh
# Judges the resources of one file with the HL7 validator: oracle.sh CASES ANSWERS
set -e
here=$(cd "$(dirname "$0")" && pwd)
jar=$here/target/validator-oracle-1.jar
[ -f "$jar" ] && [ -z "$(find "$here/src" "$here/pom.xml" -newer "$jar")" ] || mvn -q -B -f "$here/pom.xml" package >&2
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xmx3g -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -cp "$jar:$here/target/lib/*" oracle.Main "$@"
