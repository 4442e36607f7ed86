//! What can go wrong with the database, told apart by what a caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every connection of the pool stayed in use for the whole waiting time.
    #[error("all database connections are in use")]
    Busy,
    /// No connection could be made, or it broke.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A serialisation failure or deadlock that outlived its retries.
    #[error("the transaction collided with others and was given up")]
    Collision,
    /// A statement ran into `statement_timeout`.
    #[error("a statement took longer than allowed and was cancelled")]
    TooSlow,
    /// The disk of the database is full.
    #[error(
        "the database has no space left: {0}; free some on its disk, it goes on by itself \
         (database.data-dir, or the server of database.url)"
    )]
    NoSpace(String),
    /// A unique index refused a row.
    #[error("unique constraint {constraint} refused the row")]
    Unique { constraint: String },
    /// The row that was asked for is not there.
    #[error("no such row")]
    NotFound,
    /// The private cluster cannot be had.
    #[error(transparent)]
    Cluster(#[from] super::Refusal),
    /// The schema cannot be brought up to date.
    #[error(transparent)]
    Migration(#[from] super::migrate::MigrationError),
    /// The settings name no usable database.
    #[error("{0}")]
    Configuration(String),
    /// A bug of ours, or a database in a state nobody foresaw.
    #[error("database error: {0}")]
    Internal(#[source] Diesel),
}

impl Error {
    /// Whether the same request may well succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Unreachable(_) | Self::Collision | Self::TooSlow | Self::NoSpace(_)
        )
    }

    /// Name of the unique constraint that refused the row, if that was the failure.
    #[must_use]
    pub fn unique_constraint(&self) -> Option<&str> {
        match self {
            Self::Unique { constraint } => Some(constraint),
            _ => None,
        }
    }
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        if is_collision(&error) {
            return Self::Collision;
        }
        match error {
            Diesel::NotFound => Self::NotFound,
            Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, detail) => Self::Unique {
                constraint: detail.constraint_name().unwrap_or_default().to_owned(),
            },
            Diesel::DatabaseError(
                DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection,
                detail,
            ) => Self::Unreachable(detail.message().to_owned()),
            Diesel::BrokenTransactionManager => Self::Unreachable("connection broke".to_owned()),
            Diesel::DatabaseError(_, ref detail)
                if detail.message().ends_with("statement timeout") =>
            {
                Self::TooSlow
            }
            Diesel::DatabaseError(_, ref detail)
                if detail.message().starts_with("terminating connection") =>
            {
                Self::Unreachable(detail.message().to_owned())
            }
            Diesel::DatabaseError(_, ref detail) if is_full_disk(detail.message()) => {
                Self::NoSpace(detail.message().to_owned())
            }
            other => Self::Internal(other),
        }
    }
}

/// Whether PostgreSQL's words are those of a full disk (SQLSTATE 53100, which diesel does not tell).
pub(super) fn is_full_disk(words: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"]
        .iter()
        .any(|text| words.contains(text))
}

/// Whether the transaction fell to another one and deserves a second try (SQLSTATE 40001, 40P01).
/// diesel has no kind for a deadlock, so its message has to do.
pub(super) fn is_collision(error: &Diesel) -> bool {
    match error {
        Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => true,
        Diesel::DatabaseError(_, detail) => detail.message() == "deadlock detected",
        _ => false,
    }
}
