//! Formats the fields of a text line of the log: `name=value`, strings in quotation marks, the message as it is.
//!
//! The result is what `tracing_subscriber` itself writes when colours are off. This does it without that crate's
//! machinery for colours: each request has a line of a dozen fields, and formatting them with the machinery takes a
//! tenth of the time of a small request.

use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

const MESSAGE: &str = "message";

/// The formatter of fields for lines without colours.
pub struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_begun: false, outcome: Ok(()) };
        fields.record(&mut line);
        line.outcome
    }
}

/// Writes text into a line. Control characters, which could break the line or move a terminal's cursor, are written as
/// escape sequences, as in source code.
struct Within<'a, 'writer>(&'a mut Writer<'writer>);

impl Write for Within<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            match part.char_indices().next_back().filter(|(_, last)| last.is_control()) {
                Some((at, control)) => {
                    self.0.write_str(part.get(..at).unwrap_or_default())?;
                    write!(self.0, "{}", control.escape_default())?;
                }
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

/// A value that `tracing` hands over as `Debug`, which it also does with a value that is logged with `%`.
struct AsGiven<'a>(&'a dyn Debug);

impl fmt::Display for AsGiven<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    is_begun: bool,
    outcome: fmt::Result,
}

impl<'writer> Line<'writer> {
    fn put(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'writer>) -> fmt::Result) {
        // The `log` crate gives the origin of a line in fields `log.*`; the line begins with the origin already.
        if self.outcome.is_ok() && !field.name().starts_with("log.") {
            self.outcome = self.begin(field.name()).and_then(|()| value(&mut self.writer));
        }
    }

    fn begin(&mut self, name: &str) -> fmt::Result {
        if std::mem::replace(&mut self.is_begun, true) {
            self.writer.write_char(' ')?;
        }
        if name == MESSAGE {
            return Ok(());
        }
        // A field whose name is a keyword of Rust is written as a raw identifier, such as `r#type`.
        self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.writer.write_char('=')
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_plain = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'\'');
        if field.name() == MESSAGE {
            self.record_debug(field, &format_args!("{value}"));
        } else if value.bytes().all(is_plain) {
            self.put(field, |writer| {
                writer.write_char('"')?;
                writer.write_str(value)?;
                writer.write_char('"')
            });
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, |writer| write!(Within(writer), "{}", AsGiven(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Kept;

        fn make_writer(&'a self) -> Kept {
            self.clone()
        }
    }

    /// The text that is written of what `log` logs, without the time.
    fn written(log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let lines = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).without_time();
        tracing::subscriber::with_default(lines.fmt_fields(PlainFields).finish(), log);
        String::from_utf8(std::mem::take(&mut *kept.0.lock().unwrap())).unwrap()
    }

    #[test]
    fn fields_of_every_type_are_written_plainly() {
        let line = written(|| {
            let (id, path, absent) = ("4c", "/b/\"k\u{e9}\n", None::<u64>);
            tracing::info!(target: "t", id, path, status = 200, absent, millis = 0.5, r#type = "x", is = true, "request");
        });
        let fields = "id=\"4c\" path=\"/b/\\\"k\u{e9}\\n\" status=200 millis=0.5 type=\"x\" is=true";
        assert_eq!(line, format!(" INFO t: request {fields}\n"));
    }

    #[test]
    fn control_characters_in_values_do_not_break_a_line() {
        let line = written(|| {
            let cause = "one\ntwo \u{1b}[31m";
            tracing::info!(target: "t", %cause, "said: {cause}");
        });
        let told = "one\\ntwo \\u{1b}[31m";
        assert_eq!(line, format!(" INFO t: said: {told} cause={told}\n"));
    }
}
