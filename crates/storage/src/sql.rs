//! Statements and their answers: the same few words for the connection that writes, which does them where they are asked for, and for those
//! to read by, where each question is one trip to a thread where blocking is allowed (docs/decisions/0010-hot-reads.md).

use crate::blocking::Readers;
use crate::error::{Error, Result};
use rusqlite::Connection;
use rusqlite::types::{FromSql, Value, ValueRef};
use std::borrow::Cow;

/// A text of one statement or several, divided by semicolons, and the values of its parameters, which are numbered (`?1`) and the same for
/// all of its statements.
pub(crate) struct Query {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

pub(crate) fn query(text: impl Into<Cow<'static, str>>) -> Query {
    Query { text: text.into(), values: Vec::new() }
}

/// One whose rows have one value.
pub(crate) fn query_scalar(text: impl Into<Cow<'static, str>>) -> Scalar {
    Scalar(query(text))
}

/// One whose rows have a few values.
pub(crate) fn query_as(text: impl Into<Cow<'static, str>>) -> Tuples {
    Tuples(query(text))
}

/// All rows of all statements, and how many rows they changed.
pub(crate) struct Answer {
    rows: Vec<Row>,
    changed: u64,
}

impl Answer {
    pub(crate) fn rows_affected(&self) -> u64 {
        self.changed
    }
}

impl Query {
    /// The next parameter.
    pub(crate) fn bind(mut self, value: impl Bind) -> Self {
        self.values.push(value.value());
        self
    }

    /// Does all statements, one after another, up to the first that fails.
    pub(crate) fn run(&self, connection: &Connection) -> Result<Answer> {
        let mut answer = Answer { rows: Vec::new(), changed: 0 };
        for text in self.text.split(';').filter(|text| !text.trim_ascii().is_empty()) {
            let mut statement = connection.prepare_cached(text)?;
            for (number, value) in (1..=statement.parameter_count()).zip(&self.values) {
                statement.raw_bind_parameter(number, value)?;
            }
            let (columns, changes) = (statement.column_count(), !statement.readonly());
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                let values =
                    (0..columns).map(|at| row.get_ref(at).map(Value::try_from)?.map_err(Error::from));
                answer.rows.push(Row(values.collect::<Result<_>>()?));
            }
            drop(rows);
            if changes {
                answer.changed += connection.changes();
            }
        }
        Ok(answer)
    }

    /// All rows.
    pub(crate) fn rows(&self, connection: &Connection) -> Result<Vec<Row>> {
        Ok(self.run(connection)?.rows)
    }

    pub(crate) async fn execute(self, source: impl Source) -> Result<Answer> {
        source.ask(self).await
    }

    pub(crate) async fn fetch_all(self, source: impl Source) -> Result<Vec<Row>> {
        Ok(source.ask(self).await?.rows)
    }

    pub(crate) async fn fetch_optional(self, source: impl Source) -> Result<Option<Row>> {
        Ok(source.ask(self).await?.rows.into_iter().next())
    }

    pub(crate) async fn fetch_one(self, source: impl Source) -> Result<Row> {
        self.fetch_optional(source).await?.ok_or_else(|| Error::bug("a question without an answer"))
    }
}

/// See [`query_scalar`].
pub(crate) struct Scalar(Query);

impl Scalar {
    pub(crate) fn bind(self, value: impl Bind) -> Self {
        Self(self.0.bind(value))
    }

    /// All values.
    pub(crate) fn values<T: FromSql>(&self, connection: &Connection) -> Result<Vec<T>> {
        self.0.rows(connection)?.iter().map(|row| row.try_get(0)).collect()
    }

    pub(crate) async fn fetch_all<T: FromSql>(self, source: impl Source) -> Result<Vec<T>> {
        self.0.fetch_all(source).await?.iter().map(|row| row.try_get(0)).collect()
    }

    pub(crate) async fn fetch_optional<T: FromSql>(self, source: impl Source) -> Result<Option<T>> {
        self.0.fetch_optional(source).await?.map(|row| row.try_get(0)).transpose()
    }

    pub(crate) async fn fetch_one<T: FromSql>(self, source: impl Source) -> Result<T> {
        self.0.fetch_one(source).await?.try_get(0)
    }
}

/// See [`query_as`].
pub(crate) struct Tuples(Query);

impl Tuples {
    pub(crate) fn bind(self, value: impl Bind) -> Self {
        Self(self.0.bind(value))
    }

    pub(crate) async fn fetch_all<T: FromRow>(self, source: impl Source) -> Result<Vec<T>> {
        self.0.fetch_all(source).await?.iter().map(T::from_row).collect()
    }

    pub(crate) async fn fetch_optional<T: FromRow>(self, source: impl Source) -> Result<Option<T>> {
        self.0.fetch_optional(source).await?.as_ref().map(T::from_row).transpose()
    }

    pub(crate) async fn fetch_one<T: FromRow>(self, source: impl Source) -> Result<T> {
        T::from_row(&self.0.fetch_one(source).await?)
    }
}

/// Where a question is asked.
pub(crate) trait Source: Send {
    fn ask(self, query: Query) -> impl Future<Output = Result<Answer>> + Send;
}

/// The connection that writes has a thread of its own, which may wait for the disk.
impl Source for &mut Connection {
    async fn ask(self, query: Query) -> Result<Answer> {
        query.run(self)
    }
}

impl Source for &Readers {
    async fn ask(self, query: Query) -> Result<Answer> {
        self.read(move |connection| query.run(connection)).await
    }
}

/// A connection of somebody who runs on a thread that must not wait: each question is one trip to a thread that may.
pub(crate) struct Link(Option<Connection>);

impl Link {
    pub(crate) async fn open(open: impl FnOnce() -> Result<Connection> + Send + 'static) -> Result<Self> {
        let opened = tokio::task::spawn_blocking(open).await.map_err(lost)?;
        Ok(Self(Some(opened?)))
    }

    /// Does some work with it. It is done to its end even if nobody waits for it any more; then the connection is gone with it.
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut connection = self.0.take().ok_or_else(|| Error::bug("a connection that was given up"))?;
        let done = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut connection);
            (connection, outcome)
        });
        let (connection, outcome) = done.await.map_err(lost)?;
        self.0 = Some(connection);
        outcome
    }

    /// Hands it over to whoever ends it.
    pub(crate) async fn end<T: Send + 'static>(
        self,
        end: impl FnOnce(Connection) -> T + Send + 'static,
    ) -> Result<Option<T>> {
        let Some(connection) = self.0 else { return Ok(None) };
        tokio::task::spawn_blocking(move || end(connection)).await.map(Some).map_err(lost)
    }
}

impl Source for &mut Link {
    async fn ask(self, query: Query) -> Result<Answer> {
        self.with(move |connection| query.run(connection)).await
    }
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::bug(format!("a question to the database: {error}"))
}

/// One row of an answer.
pub(crate) struct Row(Vec<Value>);

impl Row {
    fn at(&self, at: usize) -> Result<&Value> {
        self.0.get(at).ok_or_else(|| Error::bug("a row with fewer values"))
    }

    pub(crate) fn try_get<T: FromSql>(&self, at: usize) -> Result<T> {
        Ok(T::column_result(ValueRef::from(self.at(at)?))?)
    }

    pub(crate) fn text(&self, at: usize) -> Result<&str> {
        Ok(ValueRef::from(self.at(at)?).as_str()?)
    }

    /// `None`: NULL.
    pub(crate) fn octets(&self, at: usize) -> Result<Option<&[u8]>> {
        Ok(ValueRef::from(self.at(at)?).as_blob_or_null()?)
    }
}

/// What a row of a few values becomes.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self>;
}

macro_rules! from_row {
    ($($name:ident $at:literal),*) => {
        impl<$($name: FromSql),*> FromRow for ($($name,)*) {
            fn from_row(row: &Row) -> Result<Self> {
                Ok(($(row.try_get::<$name>($at)?,)*))
            }
        }
    };
}

from_row!(A 0, B 1);
from_row!(A 0, B 1, C 2);
from_row!(A 0, B 1, C 2, D 3);
from_row!(A 0, B 1, C 2, D 3, E 4);

/// What a parameter can be.
pub(crate) trait Bind {
    fn value(self) -> Value;
}

macro_rules! bind {
    ($($kind:ty),*) => {
        $(impl Bind for $kind {
            fn value(self) -> Value {
                self.into()
            }
        })*
    };
}

bind!(i64, i32, u32, u16, u8, bool, String, Vec<u8>);

impl Bind for &str {
    fn value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Bind for &[u8] {
    fn value(self) -> Value {
        Value::Blob(self.to_owned())
    }
}

impl<T: Bind> Bind for Option<T> {
    fn value(self) -> Value {
        self.map_or(Value::Null, Bind::value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_statements_share_their_parameters() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a, b, c)").unwrap();
        let text = "INSERT INTO t VALUES (?1, ?2, ?3); INSERT INTO t VALUES (?1 + 1, NULL, x'');
            DELETE FROM t WHERE a > ?1 RETURNING a, b;";
        let query = query(text).bind(7_i64).bind("it;em").bind(&b"\0\xff"[..]);
        let answer = query.run(&connection).unwrap();
        assert_eq!(answer.rows_affected(), 3);
        assert_eq!(answer.rows[0].try_get::<i64>(0), Ok(8));
        assert_eq!(answer.rows[0].try_get::<Option<String>>(1), Ok(None));
        let rows = super::query("SELECT * FROM t").rows(&connection).unwrap();
        assert_eq!((rows.len(), rows[0].text(1)), (1, Ok("it;em")));
        assert_eq!(rows[0].octets(2), Ok(Some(&b"\0\xff"[..])));
        assert!(rows[0].try_get::<i64>(1).is_err() && rows[0].try_get::<i64>(3).is_err());
        // What an earlier question was given does not stay behind.
        let left = super::query_scalar("SELECT ?1 IS NULL");
        assert_eq!(left.values::<bool>(&connection), Ok(vec![true]));
    }

    #[test]
    fn what_fails_ends_the_text() {
        let connection = Connection::open_in_memory().unwrap();
        let text =
            "CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); DELETE FROM t";
        assert!(query(text).run(&connection).is_err());
        let left = query_scalar("SELECT count(*) FROM t");
        assert_eq!(left.values::<i64>(&connection), Ok(vec![1]));
    }
}
