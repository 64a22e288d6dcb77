"""Templates filled in, and refused, as Go does it: what is expected here is what Go 1.26 said of the same."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labcontainer.cli.template import Struct, Template, TemplateError

DATA = {
    "Name": "/web",
    "Id": "4f5c",
    "State": {"Running": True, "Pid": 42, "Health": None, "F": 1.5, "G": 1e30},
    "Config": {"Labels": {"a.b": "x", "c": "y"}, "Env": ["A=1", "B=2"], "Empty": [], "Cmd": None},
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": None},
    "Zero": 0,
    "Str": "héllo wörld",
    "No": False,
}
FILLED_IN = [
    ("{{.Name}}", "/web"),
    ("{{ .Name }}", "/web"),
    ("a{{- .Name -}} b", "a/webb"),
    ('a  {{- " x " -}}  b', "a x b"),
    ("{{.State.Pid}} {{.State.Running}} {{.State.Health}} {{.State.F}} {{.State.G}}", "42 true <no value> 1.5 1e+30"),
    ("{{.Config.Labels}}", "map[a.b:x c:y]"),
    ("{{.Config.Env}} {{.Config.Empty}}", "[A=1 B=2] []"),
    ("{{json .Config.Env}}", '["A=1","B=2"]'),
    ("{{.Config.Env | json}}", '["A=1","B=2"]'),
    ('{{json "<a&b>"}}', '"<a&b>"'),
    ('{{index .Config.Labels "a.b"}}', "x"),
    ('{{index .Config.Labels "nope"}}|', "|"),
    ("{{index .Config.Env 1}}", "B=2"),
    ('{{index .Ports "80/tcp" 0}}', "map[HostIp:0.0.0.0 HostPort:8080]"),
    ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
    ('{{index .Ports "nope"}}', "<no value>"),
    ("{{len .Config.Env}} {{len .Name}} {{len .Str}}", "2 4 13"),
    ("{{if .State.Running}}yes{{else}}no{{end}}", "yes"),
    ("{{if .No}}yes{{else if eq .Zero 0}}zero{{else}}no{{end}}", "zero"),
    ("{{if not .No}}t{{end}}", "t"),
    ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
    ("{{range .Config.Empty}}x{{else}}none{{end}}", "none"),
    ("{{range .State.Health}}x{{else}}none{{end}}", "none"),
    ("{{range $i, $e := .Config.Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 "),
    ("{{range $e := .Config.Env}}{{$e}} {{end}}", "A=1 B=2 "),
    ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}};{{end}}", "a.b:x;c:y;"),
    ("{{range 3}}{{.}}{{end}}", "012"),
    ("{{with .State}}{{.Pid}}{{end}}", "42"),
    ("{{with .State.Health}}a{{else}}b{{end}}", "b"),
    ("{{$x := .Name}}{{$x}}", "/web"),
    ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
    ("{{$.Name}}", "/web"),
    ("{{range .Config.Env}}{{$.Id}}{{end}}", "4f5c4f5c"),
    (
        '{{eq .State.Pid 42}} {{ne .State.Pid 42}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge "b" "a"}}',
        "true false true true false true",
    ),
    ("{{eq .State.Pid 1 2 42}}", "true"),
    ("{{eq .State.Health nil}}", "true"),
    ("{{and .Name .Zero}} {{or .Zero .Name}} {{and 1 2 3}}", "0 /web 3"),
    ("{{or .State.Running .Foo}}", "true"),
    ('{{print 1 2 "a" "b" 3 4}}', "1 2ab3 4"),
    ('{{println "a" 1}}|', "a 1\n|"),
    ('{{printf "%s-%d-%v-%q-%t" .Name 42 .State.Running "hi" true}}', '/web-42-true-"hi"-true'),
    ('{{printf "%5s|%-5s|%05d|%x|%X|%.2f|%%" "ab" "cd" 42 255 255 3.14159}}', "   ab|cd   |00042|ff|FF|3.14|%"),
    ('{{printf "%s" 42}}', "%!s(int=42)"),
    ('{{printf "%d" "x"}}', "%!d(string=x)"),
    ('{{printf "%s"}}', "%!s(MISSING)"),
    ('{{printf "a" 1}}', "a%!(EXTRA int=1)"),
    ('{{printf "%s %v" .Config.Env .Config.Labels}}', "[A=1 B=2] map[a.b:x c:y]"),
    ('{{upper .Name}} {{lower "ABC"}} {{title "hello world"}}', "/WEB abc Hello World"),
    ('{{.Name | upper | printf "%s!"}}', "/WEB!"),
    ('{{join .Config.Env ","}}', "A=1,B=2"),
    ('{{split "a,b,c" ","}} {{index (split "a,b,c" ",") 1}}', "[a b c] b"),
    ('{{pad "x" 2 3}}|{{pad "" 2 3}}|', "  x   ||"),
    ('{{truncate "hello" 2}} {{truncate "h" 2}}', "he h"),
    ("{{slice .Name 1}} {{slice .Name 1 3}} {{slice .Config.Env 0 1}}", "web we [A=1]"),
    ('{{html "<a>"}} {{urlquery "a b&c"}}', "&lt;a&gt; a+b%26c"),
    ("{{.Name}}}", "/web}"),
    ("{{.Name | }}", "/web"),
    ("{{/* comment */}}x", "x"),
    ("{{- /* comment */ -}}  x", "x"),
    ("a {{/* comment */ -}} b", "a b"),
    ('{{"\\t\\"q\\" \\u00e9 \\n"}}|', '\t"q" é \n|'),
    ("{{`raw\\n`}}", "raw\\n"),
    ("{{'a'}} {{0x1F}} {{1_000}} {{1e3}} {{-5}} {{1.5}}", "97 31 1000 1000 -5 1.5"),
    ("{{range .Config.Env}}{{break}}{{end}}ok", "ok"),
    ('{{range .Config.Env}}{{if eq . "A=1"}}{{continue}}{{end}}{{.}}{{end}}', "B=2"),
    ("{{.Config.Labels.c}}", "y"),
    ("line1", "line1"),
    ("{{index .Config.Labels}}", "map[a.b:x c:y]"),
    ('{{.Name}}{{"\\\\n"}}', "/web\\n"),
    ("{{if (and .Name (gt .State.Pid 1))}}ok{{end}}", "ok"),
    ("{{ $a := 1 }}{{ $b := 2 }}{{ $a }}{{ $b }}", "12"),
    ("{{if $x := .Name}}{{$x}}{{end}}", "/web"),
    ("{{with $x := .State}}{{$x.Pid}}{{end}}", "42"),
    ("{{ (.State).Pid }}", "42"),
    ('{{ (printf "%s" .Name) | len }}', "4"),
    ("{{.Name|upper}}", "/WEB"),
    ('{{"a"|printf "%s%s" "b"}}', "ba"),
    ('{{printf "%v %v" nil .State.Health}}', "<nil> <nil>"),
    ('{{len "é"}}', "2"),
    ("{{print .State.Health}}", "<nil>"),
    ("{{print nil}}", "<nil>"),
    ("{{true}} {{false}} {{eq true .State.Running}}", "true false true"),
    ('{{if 0}}a{{else}}b{{end}}{{if ""}}a{{else}}b{{end}}{{if 0.0}}a{{else}}b{{end}}', "bbb"),
    ('{{if "x"}}{{"y"}}{{end -}}', "y"),
    ("  z", "  z"),
    ("{{range .Config.Env}}\n{{.}}\n{{end}}", "\nA=1\n\nB=2\n"),
    ("{{.Name\n}}", "/web"),
    ("{{if true -}}\n  x\n{{- end}}", "x"),
]
REFUSED = [
    ("{{.Foo}}", ':1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
    ("{{.State.Foo}}", ':1:8: executing "" at <.State.Foo>: map has no entry for key "Foo"'),
    (
        "{{.State.Health.Status}}",
        ':1:8: executing "" at <.State.Health.Status>: nil pointer evaluating interface {}.Status',
    ),
    ("{{.Name.Foo}}", ':1:7: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type interface {}'),
    ("{{.State.Pid.Foo}}", ':1:8: executing "" at <.State.Pid.Foo>: can\'t evaluate field Foo in type interface {}'),
    (
        "{{index .Config.Env 7}}",
        ':1:2: executing "" at <index .Config.Env 7>: error calling index: index out of range: 7',
    ),
    (
        "{{index .Config.Env -1}}",
        ':1:2: executing "" at <index .Config.Env -1>: error calling index: index out of range: -1',
    ),
    (
        '{{index .Config.Env "x"}}',
        ':1:2: executing "" at <index .Config.Env "x">: error calling index: cannot index slice/array with type string',
    ),
    (
        '{{index (index .Ports "nope") 0}}',
        ':1:2: executing "" at <index (index .Ports "nope") 0>: error calling index: index of untyped nil',
    ),
    ("{{len .State.Pid}}", ':1:2: executing "" at <len .State.Pid>: error calling len: len of type int'),
    ("{{len .State.Health}}", ':1:2: executing "" at <len .State.Health>: error calling len: len of nil pointer'),
    (
        "{{range $p, $conf := .Ports}} {{$p}} -> {{(index $conf 0).HostPort}} {{end}}",
        ':1:43: executing "" at <index $conf 0>: error calling index: index of untyped nil',
    ),
    ("{{range .Name}}x{{end}}", ':1:8: executing "" at <.Name>: range can\'t iterate over /web'),
    ("{{$y}}", ':1: undefined variable "$y"'),
    (
        '{{eq .State.Pid "42"}}',
        ':1:2: executing "" at <eq .State.Pid "42">: error calling eq: incompatible types for comparison: '
        "int and string",
    ),
    ("{{eq .State.Pid}}", ':1:2: executing "" at <eq .State.Pid>: error calling eq: missing argument for comparison'),
    ("{{lt .No true}}", ':1:2: executing "" at <lt .No true>: error calling lt: invalid type for comparison'),
    ("{{and}}", ':1:2: executing "" at <and>: wrong number of args for and: want at least 1 got 0'),
    ("{{slice .Name 1 9}}", ':1:2: executing "" at <slice .Name 1 9>: error calling slice: index out of range: 9'),
    ("{{foo}}", ':1: function "foo" not defined'),
    ("{{.Name", ":1: unclosed action"),
    ("{{", ":1: unclosed action"),
    ("{{}}", ":1: missing value for command"),
    ("{{.Name}", ":1: bad character U+007D '}'"),
    ("{{if .Name}}x", ":1: unexpected EOF"),
    ("{{end}}", ":1: unexpected {{end}}"),
    ("{{else}}", ":1: unexpected {{else}}"),
    ("{{if}}x{{end}}", ":1: missing value for if"),
    ("{{range}}x{{end}}", ":1: missing value for range"),
    ("{{| .Name}}", ':1: unexpected "|" in command'),
    ("{{(.Name}}", ":1: unclosed left paren"),
    ("{{.Name)}}", ":1: unexpected right paren"),
    ('{{"abc}}', ":1: unterminated quoted string"),
    ("{{`abc}}", ":1: unterminated raw quoted string"),
    ("{{'a}}", ":1: unterminated character constant"),
    ("{{.a#b}}", ":1: bad character U+0023 '#'"),
    ("{{#}}", ':1: unexpected "#" in command'),
    ('{{.Name "x"}}', ':1:2: executing "" at <.Name>: Name is not a method but has arguments'),
    ("{{1 2}}", ':1:2: executing "" at <1>: can\'t give argument to non-function 1'),
    ('{{"a" "b"}}', ':1:2: executing "" at <"a">: can\'t give argument to non-function "a"'),
    ("{{. 1}}", ':1:2: executing "" at <.>: can\'t give argument to non-function .'),
    ("{{.Name | 1}}", ":1: non executable command in pipeline stage 2"),
    ("{{true.x}}", ':1: unexpected . after term "true"'),
    ("{{nil}}", ':1:2: executing "" at <nil>: nil is not a command'),
    ("{{/* comment }}", ":1: unclosed comment"),
    ("{{/* c */ x}}", ":1: comment ends before closing delimiter"),
    ("{{1x}}", ':1: bad number syntax: "1x"'),
    ("{{break}}", ":1: {{break}} outside {{range}}"),
    ("{{range .Config.Env}}{{else}}{{break}}{{end}}", ":1: {{break}} outside {{range}}"),
    (
        "{{.State.Running.Foo}}",
        ':1:8: executing "" at <.State.Running.Foo>: can\'t evaluate field Foo in type interface {}',
    ),
    ("{{.Config.Env.Foo}}", ':1:9: executing "" at <.Config.Env.Foo>: can\'t evaluate field Foo in type interface {}'),
    ("{{.Config.Labels.zz}}", ':1:9: executing "" at <.Config.Labels.zz>: map has no entry for key "zz"'),
    ("{{index}}", ':1:2: executing "" at <index>: wrong number of args for index: want at least 1 got 0'),
    ("{{upper}}", ':1:2: executing "" at <upper>: wrong number of args for upper: want 1 got 0'),
    ("{{not}}", ':1:2: executing "" at <not>: wrong number of args for not: want 1 got 0'),
    ("{{len}}", ':1:2: executing "" at <len>: wrong number of args for len: want 1 got 0'),
    ("{{.Name.}}", ":1: unexpected <.> in operand"),
    ("{{..}}", ":1: unexpected <.> in operand"),
    ("{{.Name .Id}}", ':1:2: executing "" at <.Name>: Name is not a method but has arguments'),
    ("{{$x = 1}}", ':1:7: executing "" at <1>: undefined variable: $x'),
    ("{{$x := }}", ":1: missing value for command"),
    ("{{if true}}a{{else}}b{{else}}c{{end}}", ":1: expected end; found {{else}}"),
    ("a\n{{.Name}}\n  {{.Foo}}", ':3:4: executing "" at <.Foo>: map has no entry for key "Foo"'),
    ("a\nb {{foo}}", ':2: function "foo" not defined'),
    ("{{if .Name}}\n{{end", ":2: unclosed action"),
]


@pytest.mark.parametrize(("text", "expected"), FILLED_IN)
def test_a_template_is_filled_in_as_go_does_it(text: str, expected: str) -> None:
    assert Template(text).render(DATA) == expected


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_a_template_is_refused_in_gos_words(text: str, expected: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text).render(DATA)
    assert str(caught.value) == f"template parsing error: template: {expected}"


def test_a_name_that_a_type_does_not_have_is_told_with_the_type() -> None:
    row = Struct("*formatter.ContainerContext", {"ID": "4f5c", "Label": {"a": "b"}.get})
    assert Template('{{.ID}} {{.Label "a"}}').render(row) == "4f5c b"
    with pytest.raises(TemplateError, match=r"can't evaluate field Foo in type \*formatter.ContainerContext"):
        Template("{{.Foo}}").render(row)


PIECES = st.sampled_from(
    [
        *("{{", "}}", "{{-", "-}}", "/*", "*/", " ", "\n", "|", "(", ")", ",", ":=", "="),
        *(".Name", ".State", ".", "$x", "$", '"a"', "`b`", "'c'", "1", "-2.5", "true", "nil", "text"),
        *("if", "else", "end", "range", "with", "break", "len", "index", "printf", "eq", "slice", "split"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join))
def test_whatever_is_written_is_filled_in_or_refused(text: str) -> None:
    with contextlib.suppress(TemplateError):
        Template(text).render(DATA)
