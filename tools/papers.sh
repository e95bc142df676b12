# shellcheck shell=bash
# Sourced: certified users for the demo and the tests of the examples, made on the spot.

# make_papers TOOL FOLDER: an authority, whose public key is in $authority then, and for the steam ids 1001 and 1002
# folders of that name with an identity and its certificate. Each step depends on the one before, so that it fails
# wherever it is called.
make_papers() {
    local tool=$1 folder=$2 id
    # shellcheck disable=SC2034 # for whoever called
    authority=$("$tool" authority new --out "$folder") || return 1
    for id in 1001 1002; do
        mkdir "$folder/$id" && "$tool" identity new --out "$folder/$id" >/dev/null &&
            "$tool" cert issue --authority "$folder/authority.key" --steam-id "$id" --app 480 --days 1 \
                --identity "$folder/$id/identity.key" --out "$folder/$id" || return 1
    done
}
