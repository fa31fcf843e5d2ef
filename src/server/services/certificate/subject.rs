//! Distinguished names as text, in the form of RFC 2253 that Argo CD's users see.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The attributes that have names, in the order they are written.
const ATTRIBUTES: [(&str, &str); 9] = [
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.3", "CN"),
    ("2.5.4.17", "POSTALCODE"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.8", "ST"),
    ("2.5.4.7", "L"),
    ("2.5.4.11", "OU"),
    ("2.5.4.10", "O"),
    ("2.5.4.6", "C"),
];
/// Of these only the last one counts.
const SINGLE: [&str; 2] = ["SERIALNUMBER", "CN"];

/// Several values of one attribute are joined with a plus; attributes without a
/// name come last, as numbers.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let all: Vec<(String, &AttributeTypeAndValue<'_>)> =
        name.iter_attributes().map(|attribute| (attribute.attr_type().to_id_string(), attribute)).collect();
    let mut parts = Vec::new();
    for (id, label) in ATTRIBUTES {
        let values = all.iter().filter(|(own, _)| own == id).filter_map(|(_, a)| string(a.attr_value()));
        let mut values: Vec<String> = values.map(|value| format!("{label}={}", escaped(&value))).collect();
        if SINGLE.contains(&label) {
            values.drain(..values.len().saturating_sub(1));
        }
        if !values.is_empty() {
            parts.push(values.join("+"));
        }
    }
    let others = all.iter().rev().filter(|(own, _)| !ATTRIBUTES.iter().any(|(id, _)| id == own));
    parts.extend(others.map(|(id, attribute)| format!("{id}=#{}", encoded(attribute.attr_value()))));
    parts.join(",")
}

/// The value as text, where it is text.
fn string(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::T61String => {
            Some(String::from_utf8_lossy(value.data).into_owned())
        }
        Tag::BmpString => {
            let units = value.data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        _ => None,
    }
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (place, c) in value.chars().enumerate() {
        let special = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => place == 0 || place == last,
            '#' => place == 0,
            _ => false,
        };
        if special {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The value in DER, as hexadecimal digits. Texts are written as the plainest
/// type that can hold them.
fn encoded(value: &Any<'_>) -> String {
    let (tag, data) = match string(value) {
        Some(text) => {
            let tag = if text.bytes().all(is_printable) { Tag::PrintableString } else { Tag::Utf8String };
            (u8::try_from(tag.0).unwrap_or_default(), text.into_bytes())
        }
        None => {
            let constructed = if value.header.is_constructed() { 0x20 } else { 0 };
            (u8::try_from(value.tag().0).unwrap_or_default() | constructed, value.data.to_vec())
        }
    };
    let mut der = vec![tag];
    match u8::try_from(data.len()) {
        Ok(short) if short < 0x80 => der.push(short),
        _ => {
            let bytes = data.len().to_be_bytes();
            let length = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            der.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            der.extend(length);
        }
    }
    der.extend(data);
    der.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Characters of ASN.1's `PrintableString`.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    fn subject(attributes: Vec<(DnType, &str)>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in attributes {
            params.distinguished_name.push(kind, value);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, read) = X509Certificate::from_der(certificate.der()).unwrap();
        text(read.subject())
    }

    #[test]
    fn attributes_are_written_from_the_most_to_the_least_particular() {
        let text = subject(vec![
            (DnType::CommonName, "git.example.com"),
            (DnType::CountryName, "CH"),
            (DnType::StateOrProvinceName, "Bern"),
            (DnType::OrganizationalUnitName, "Ops"),
        ]);
        assert_eq!(text, "CN=git.example.com,ST=Bern,OU=Ops,C=CH");
    }

    #[test]
    fn characters_with_a_meaning_are_escaped() {
        assert_eq!(subject(vec![(DnType::CommonName, " #a,b+\"c\" ")]), "CN=\\ #a\\,b\\+\\\"c\\\"\\ ");
        assert_eq!(subject(vec![(DnType::CommonName, "#a")]), "CN=\\#a");
    }

    #[test]
    fn attributes_without_a_name_come_last_as_numbers() {
        let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
        let text = subject(vec![(email, "a@b"), (DnType::CommonName, "x")]);
        assert_eq!(text, "CN=x,1.2.840.113549.1.9.1=#0c03614062");
    }
}
