//! The source of what plugin code sees of the host, `prelude/*.js`.

/// One function, made of all files that every call needs.
const CORE: &str = concat!(
    "export default (native, plugin) => {\n\"use strict\";\n",
    include_str!("prelude/host.js"),
    include_str!("prelude/values.js"),
    include_str!("prelude/variables.js"),
    include_str!("prelude/providers.js"),
    include_str!("prelude/call.js"),
    "};\n"
);

/// The name of the core among [`SOURCES`].
pub(super) const CORE_NAME: &str = "core";

/// Modules with their names; all but the core are loaded when they are asked for.
pub(super) const SOURCES: [(&str, &str); 9] = [
    (CORE_NAME, CORE),
    ("access", include_str!("prelude/parts/access.js")),
    ("client", include_str!("prelude/parts/client.js")),
    ("connections", include_str!("prelude/parts/connections.js")),
    ("constants", include_str!("prelude/parts/constants.js")),
    (
        "questionnaire",
        include_str!("prelude/parts/questionnaire.js"),
    ),
    ("services", include_str!("prelude/parts/services.js")),
    ("streams", include_str!("prelude/parts/streams.js")),
    ("tasks", include_str!("prelude/parts/tasks.js")),
];
