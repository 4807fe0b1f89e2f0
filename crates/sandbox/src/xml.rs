//! Just enough XML to answer with.

use crate::error::ApiError;
use std::fmt::Display;

/// A document being written.
#[derive(Debug, Default)]
pub struct Xml(String);

impl Xml {
    /// The document.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }

    /// `<tag>…</tag>` around what `inner` writes.
    pub fn node(&mut self, tag: &str, inner: impl FnOnce(&mut Self)) -> &mut Self {
        self.node_with(tag, "", inner)
    }

    /// Like [`Xml::node`], with attributes written as given (with a leading blank).
    pub fn node_with(
        &mut self,
        tag: &str,
        attributes: &str,
        inner: impl FnOnce(&mut Self),
    ) -> &mut Self {
        self.0.push_str(&format!("<{tag}{attributes}>"));
        inner(self);
        self.0.push_str(&format!("</{tag}>"));
        self
    }

    /// `<tag>value</tag>`, escaped.
    pub fn leaf(&mut self, tag: &str, value: impl Display) -> &mut Self {
        self.node(tag, |xml| xml.0.push_str(&escape(&value.to_string())))
    }

    /// A leaf if there is a value.
    pub fn maybe(&mut self, tag: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.leaf(tag, value);
        }
        self
    }

    /// `<tag>` with one `<item>` for each of `items`.
    pub fn list<T>(
        &mut self,
        tag: &str,
        item: &str,
        items: impl IntoIterator<Item = T>,
        each: impl Fn(&mut Self, T),
    ) -> &mut Self {
        self.node(tag, |xml| {
            for entry in items {
                xml.node(item, |xml| each(xml, entry));
            }
        })
    }

    /// `<tag>` with one text `<item>` for each of `items`.
    pub fn texts<T: Display>(
        &mut self,
        tag: &str,
        item: &str,
        items: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        self.node(tag, |xml| {
            for entry in items {
                xml.leaf(item, entry);
            }
        })
    }
}

/// Text safe between tags and in attributes; characters XML 1.0 does not have are left out.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// An awsQuery answer (Auto Scaling, STS); no result element where the operation returns nothing.
pub fn query_answer(
    namespace: &str,
    action: &str,
    request_id: &str,
    result: Option<impl FnOnce(&mut Xml)>,
) -> String {
    let mut xml = Xml::default();
    xml.node_with(&format!("{action}Response"), &format!(" xmlns=\"{namespace}\""), |xml| {
        if let Some(result) = result {
            xml.node(&format!("{action}Result"), result);
        }
        xml.node("ResponseMetadata", |xml| {
            xml.leaf("RequestId", request_id);
        });
    });
    xml.finish()
}

/// An ec2Query answer.
pub fn ec2_answer(
    namespace: &str,
    action: &str,
    request_id: &str,
    body: impl FnOnce(&mut Xml),
) -> String {
    let mut xml = Xml::default();
    xml.node_with(&format!("{action}Response"), &format!(" xmlns=\"{namespace}\""), |xml| {
        xml.leaf("requestId", request_id);
        body(xml);
    });
    xml.finish()
}

/// An awsQuery error.
#[must_use]
pub fn query_error(namespace: &str, error: &ApiError, request_id: &str) -> String {
    let mut xml = Xml::default();
    xml.node_with("ErrorResponse", &format!(" xmlns=\"{namespace}\""), |xml| {
        xml.node("Error", |xml| {
            let kind = if error.status >= 500 { "Receiver" } else { "Sender" };
            xml.leaf("Type", kind).leaf("Code", error.code).leaf("Message", &error.message);
        });
        xml.leaf("RequestId", request_id);
    });
    xml.finish()
}

/// An ec2Query error.
#[must_use]
pub fn ec2_error(error: &ApiError, request_id: &str) -> String {
    let mut xml = Xml::default();
    xml.node("Response", |xml| {
        xml.node("Errors", |xml| {
            xml.node("Error", |xml| {
                xml.leaf("Code", error.code).leaf("Message", &error.message);
            });
        });
        xml.leaf("RequestID", request_id);
    });
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_errors_have_their_protocols_shape() {
        let error = ApiError::validation("a<b & \"c\"\u{1}");
        let text = query_error("ns", &error, "r");
        assert!(
            text.starts_with(
                "<ErrorResponse xmlns=\"ns\"><Error><Type>Sender</Type><Code>ValidationError</Code>"
            ),
            "{text}"
        );
        assert!(text.contains("<Message>a&lt;b &amp; &quot;c&quot;</Message>"), "{text}");
        assert!(
            ec2_error(&error, "r")
                .starts_with("<Response><Errors><Error><Code>ValidationError</Code>")
        );
    }
}
