//! How a section of `dsf.toml` is declared: a struct, its documentation and its reading in one.

/// What the generators know of a section.
#[derive(Debug)]
pub struct Section {
    /// The TOML table.
    pub name: &'static str,
    /// One sentence or two, a line each.
    pub about: &'static [&'static str],
    pub keys: &'static [Key],
}

/// What the generators know of a key.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub doc: &'static [&'static str],
    pub presence: Presence,
    /// The default of a key that has one, an example otherwise; as written in an environment
    /// variable.
    pub text: &'static str,
    pub shape: crate::config::Shape,
    /// What a value looks like, in words.
    pub expected: &'static str,
    /// Never shown, and `NAME-file` may name a file that holds it.
    pub secret: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Must be set as soon as the section is used.
    Required,
    Optional,
    /// Must be set for a role, which `check` knows; may be absent otherwise.
    ByRole,
    /// Has a value without being set.
    Default,
}

impl Presence {
    /// The word in the declarations below.
    pub(super) const fn of(word: &str) -> Self {
        match word.as_bytes() {
            b"required" => Self::Required,
            b"default" => Self::Default,
            b"by_role" => Self::ByRole,
            _ => Self::Optional,
        }
    }
}

/// Declares one section:
///
/// ```text
/// section! {
///     /// What the section is about.
///     Tls "tls" {
///         /// What the key is for.
///         certificate "certificate": required InputFile = "server.crt",
///     }
/// }
/// ```
///
/// `required T` and `default T` become a field of type `T`, `optional T` and `by_role T` one of
/// `Option<T>`.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $type:ident $table:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident $key:literal: $presence:ident $value:ty = $text:literal
            ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $type {
            $($(#[doc = $doc])+ pub $field: $crate::config::section::field!($presence $value)),+
        }

        impl $type {
            pub(in crate::config) const SECTION: $crate::config::Section = $crate::config::Section {
                name: $table,
                about: &[$($about),+],
                keys: &[$(
                    $crate::config::Key {
                        name: $key,
                        doc: &[$($doc),+],
                        presence: $crate::config::Presence::of(stringify!($presence)),
                        text: $text,
                        shape: <$value as $crate::config::Setting>::SHAPE,
                        expected: <$value as $crate::config::Setting>::EXPECTED,
                        secret: <$value as $crate::config::Setting>::SECRET,
                    }
                ),+],
            };

            /// Reads every key before giving up, so that every problem is noted.
            pub(in crate::config) fn read(
                reader: &mut $crate::config::reader::Reader<'_>,
                table: &str,
            ) -> Option<Self> {
                $(let $field = reader.$presence::<$value>(table, $key, $text);)+
                Some(Self { $($field: $field?),+ })
            }
        }
    };
}

macro_rules! field {
    (optional $value:ty) => { Option<$value> };
    (by_role $value:ty) => { Option<$value> };
    ($presence:ident $value:ty) => { $value };
}

pub(in crate::config) use field;
