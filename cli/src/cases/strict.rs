//! What was written and is read by nobody is an error, with the name that was meant.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hostfit_engine::finding::nearest;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde_json::{Map, Value};

/// What serde says of what was written, in our words: of a name that is none, with the nearest one; of a text that YAML
/// takes for something else, with its field. Anything else as it is.
pub(super) fn told(error: &str, written: &Value) -> String {
    if error.ends_with("expected a string") {
        let mut fields = written.as_object().into_iter().flatten();
        let is_no_text = |(_, value): &(_, &Value)| value.is_boolean() || value.is_number();
        return match fields.find(is_no_text) {
            Some((field, value)) => format!("{field} is read as {value}: put it in quotes"),
            None => format!("{error}: put it in quotes"),
        };
    }
    let mut parts = error.split('`');
    let what = match parts.next().unwrap_or_default() {
        before if before.ends_with("unknown field ") => "field",
        before if before.ends_with("unknown variant ") => "word",
        _ => return error.to_owned(),
    };
    let Some(written) = parts.next() else {
        return error.to_owned();
    };
    let known: Vec<_> = parts.skip(1).step_by(2).collect();
    no_such(what, written, &known)
}

/// `there is no field "imag"; did you mean "image"?`
fn no_such(what: &str, written: &str, known: &[&str]) -> String {
    let hint = match nearest(written, known) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if known.is_empty() => String::new(),
        None => format!(": there are {}", known.join(", ")),
    };
    format!("there is no {what} {written:?}{hint}")
}

/// The schema of each kind of ours.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let schema = |crd: CustomResourceDefinition| {
        let mut versions = crd.spec.versions.into_iter();
        let schema = versions.find_map(|it| it.schema?.open_api_v3_schema);
        let schema = serde_json::to_value(schema).unwrap_or_default();
        (crd.spec.names.kind, schema)
    };
    hostfit_crds::all().into_iter().map(schema).collect()
});

/// The kinds that are ours.
pub(super) fn kinds() -> Vec<&'static str> {
    SCHEMAS.keys().map(String::as_str).collect()
}

/// That the schema of a kind knows everything that is written of an object: the API server would drop the rest.
pub(super) fn object(kind: &str, written: &Value) -> Result<(), String> {
    let schema = SCHEMAS.get(kind);
    let schema = schema.ok_or_else(|| format!("there is no schema of {kind}"))?;
    // Statuses are written by programs, perhaps newer ones.
    if let (Some(spec), Some(schema)) = (written.get("spec"), schema.pointer("/properties/spec")) {
        known(spec, schema, "spec")?;
    }
    let mut own = written.as_object().into_iter().flat_map(Map::keys);
    let fields = ["apiVersion", "kind", "metadata", "spec", "status"];
    let unknown = own.find(|key| !fields.contains(&key.as_str()));
    match unknown {
        Some(key) => Err(no_such("field", key, &fields)),
        None => Ok(()),
    }
}

/// That the spec of a kind is one.
pub(super) fn spec(kind: &str, written: &Map<String, Value>) -> Result<(), String> {
    object(kind, &serde_json::json!({ "spec": written }))
}

fn known(written: &Value, schema: &Value, path: &str) -> Result<(), String> {
    match written {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                match (properties.and_then(|it| it.get(key)), properties) {
                    (Some(schema), _) => known(value, schema, &path)?,
                    // A map: its keys are people's.
                    (None, None) => {}
                    (None, Some(properties)) => {
                        let names: Vec<_> = properties.keys().map(String::as_str).collect();
                        let error = no_such("field", key, &names);
                        return Err(format!("{path}: {error}"));
                    }
                }
            }
            Ok(())
        }
        Value::Array(list) => match schema.get("items") {
            Some(schema) => list
                .iter()
                .enumerate()
                .try_for_each(|(index, it)| known(it, schema, &format!("{path}[{index}]"))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The first field that was written and is not in what was read of it.
pub(super) fn unread(written: &Value, read: &impl Serialize, path: &str) -> Result<(), String> {
    let read = serde_json::to_value(read).map_err(|it| it.to_string())?;
    first_unread(written, &read, path).map_or(Ok(()), Err)
}

fn first_unread(written: &Value, read: &Value, path: &str) -> Option<String> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match read.get(key) {
                Some(read) => first_unread(value, read, &path),
                None => Some(format!("{path} is no field")),
            }
        }),
        (Value::Array(written), Value::Array(read)) => {
            let mut both = written.iter().zip(read);
            both.find_map(|(written, read)| first_unread(written, read, path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_serde_says_of_names_is_told_with_the_nearest() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Two {
            #[expect(dead_code, reason = "only its name counts")]
            image: Option<u8>,
            #[expect(dead_code, reason = "only its name counts")]
            host: Option<u8>,
        }
        let read = |value: Value| {
            let error = serde_json::from_value::<Two>(value.clone()).unwrap_err();
            told(&error.to_string(), &value)
        };
        let near = "there is no field \"imag\"; did you mean \"image\"?";
        assert_eq!(read(json!({"imag": 1})), near);
        let all = "there is no field \"colour\": there are image, host";
        assert_eq!(read(json!({"colour": 1})), all);
        assert!(read(json!({"image": "x"})).starts_with("invalid type"));
    }

    #[test]
    fn what_the_api_server_would_drop_is_an_error() {
        let wrong = |written: Value| object("SupportMatrix", &written).unwrap_err();
        assert_eq!(
            wrong(json!({"spec": {"rule": []}})),
            "spec.rule: there is no field \"rule\"; did you mean \"rules\"?"
        );
        assert_eq!(
            wrong(json!({"spec": {"rules": [{"name": "r", "verdic": "Unsupported"}]}})),
            "spec.rules[0].verdic: there is no field \"verdic\"; did you mean \"verdict\"?"
        );
        assert_eq!(
            wrong(json!({"sepc": {}})),
            "there is no field \"sepc\"; did you mean \"spec\"?"
        );
        let people = json!({"namespaceSelector": {"matchLabels": {"any": "thing"}},
                            "rules": [{"name": "r", "image": {"any": 1}, "verdict": "Supported"}]});
        assert_eq!(spec("SupportMatrix", people.as_object().unwrap()), Ok(()));
        let written = json!({"spec": {"code": ["HF101"]}});
        let error = object("CompatException", &written).unwrap_err();
        assert!(error.contains("did you mean \"codes\"?"), "{error}");
    }
}
