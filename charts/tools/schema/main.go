// schema reads a chart's values.yaml and writes its values.schema.json.
//
//	schema <values.yaml >values.schema.json
//
// The comments are those of helm-docs ("# -- description") and of helm-schema (JSON schema as YAML
// between two "# @schema" lines, of the whole file between two "# @schema.root" lines). A key's
// type comes from its default. A map without a description is a section: its keys are described one
// by one, and others are refused. A map with a description is one value: what it holds is free.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

type schema = map[string]any

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "schema:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var document yaml.Node
	if err := yaml.NewDecoder(in).Decode(&document); err != nil {
		return err
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("the values are not a map")
	}
	root, err := section(document.Content[0])
	if err != nil {
		return err
	}
	extra, err := rootAnnotation(&document)
	if err != nil {
		return err
	}
	if properties, ok := extra["properties"].(schema); ok {
		maps.Copy(root["properties"].(schema), properties)
		delete(extra, "properties")
	}
	maps.Copy(root, extra)
	// Draft 7 is what every Helm 3 understands.
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(root)
}

// section describes a map key by key.
func section(node *yaml.Node) (schema, error) {
	properties, required := schema{}, []string{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		property, err := describe(key, value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", key.Line, key.Value, err)
		}
		properties[key.Value] = property
		// "key: null" takes a default away, which makes sense for what may be empty.
		if value.Kind == yaml.ScalarNode || property["properties"] != nil {
			required = append(required, key.Value)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}, nil
}

func describe(key, value *yaml.Node) (schema, error) {
	annotation, err := annotation(key.HeadComment, "# @schema")
	if err != nil {
		return nil, err
	}
	description := description(key.HeadComment)
	property := schema{}
	switch {
	case value.Kind == yaml.MappingNode && description == "":
		if property, err = section(value); err != nil {
			return nil, err
		}
	case description == "":
		return nil, fmt.Errorf("no description (# -- …)")
	case value.Kind == yaml.MappingNode:
		property["type"] = "object"
	case value.Kind == yaml.SequenceNode:
		property["type"] = "array"
	case value.Kind == yaml.ScalarNode:
		name, ok := map[string]string{"!!str": "string", "!!bool": "boolean", "!!int": "integer", "!!float": "number"}[value.Tag]
		if !ok {
			return nil, fmt.Errorf("a default of the type %s", value.Tag)
		}
		property["type"] = name
	default:
		return nil, fmt.Errorf("an alias")
	}
	if description != "" {
		property["description"] = description
	}
	maps.Copy(property, annotation)
	return property, nil
}

// description is the text after the last "# --", with the lines that continue it.
func description(comment string) string {
	var words []string
	found := false
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		text, starts := strings.CutPrefix(line, "# -- ")
		if starts {
			words, found = nil, true
		} else {
			text = strings.TrimPrefix(line, "# ")
		}
		if found && !strings.HasPrefix(text, "@") {
			words = append(words, text)
		}
	}
	return strings.Join(words, " ")
}

// annotation is the YAML between two lines that consist of the marker.
func annotation(comment, marker string) (schema, error) {
	var text strings.Builder
	inside, found := false, false
	for line := range strings.Lines(comment) {
		line = strings.TrimSpace(line)
		if line == marker {
			inside, found = !inside, true
		} else if inside {
			text.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "#"), " ") + "\n")
		}
	}
	if inside {
		return nil, fmt.Errorf("%s is not closed", marker)
	}
	parsed := schema{}
	if err := yaml.Unmarshal([]byte(text.String()), &parsed); err != nil {
		return nil, fmt.Errorf("%s: %w", marker, err)
	}
	if found && len(parsed) == 0 {
		return nil, fmt.Errorf("%s is empty", marker)
	}
	return parsed, nil
}

// rootAnnotation looks in all comments before the first key: a parser may hang them on any of these.
func rootAnnotation(document *yaml.Node) (schema, error) {
	first := document.Content[0]
	comments := []string{document.HeadComment, first.HeadComment}
	if len(first.Content) > 0 {
		comments = append(comments, first.Content[0].HeadComment)
	}
	return annotation(strings.Join(comments, "\n"), "# @schema.root")
}
