#!/bin/sh
# Compares our validator with that of HL7, as DSF sets it up, on generated resources; prints each
# difference and fails when one is not explained. Needs Maven, Java 17 or later, and the material
# (DSF_SHARED, or ../shared). DSF_VALIDATOR_ORACLE_COUNT and _SEED (one, or several: "6 7 8") choose
# other resources, _ONLY those with a word in their names ("QuestionnaireResponse"); with
# DSF_VALIDATOR_ORACLE_WHOLE=1 it is every resource of the material, unchanged.
set -e
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
DSF_VALIDATOR_ORACLE="$here/oracle.sh" \
    cargo test --lib fhir::validate::oracle -- --ignored --nocapture
