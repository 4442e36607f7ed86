"""The form of a user task, as its listener wants it (docs/plugins.md, section 4a)."""

from .helpers import FORM_AUTHORIZATION, PRACTITIONER_ROLE, NamingSystems


def qualified(one, system, member):
    """`value`, `system|value`, or the element itself."""
    if not isinstance(one, str):
        return one
    parts = one.split("|")
    if len(parts) > 2:
        raise TypeError(f"'{one}' has more than one |")
    return {"system": parts[0], member: parts[1]} if len(parts) == 2 else {"system": system, member: one}


def _said(ask, name, url, value, system, member):
    found = ask(name)
    if found is None:
        return None
    several = [found] if isinstance(found, (str, dict)) else list(found)
    return [{"url": url, value: qualified(one, system, member)} for one in several]


def _authorization(ask, form):
    """Who may answer, as the code says; where it says nothing, as the fields of the model do."""
    person = ("practitioner", "valueIdentifier", NamingSystems.PractitionerIdentifier, "value")
    role = ("practitioner-role", "valueCoding", PRACTITIONER_ROLE, "code")
    persons, roles = _said(ask, "getPractitioners", *person), _said(ask, "getPractitionerRoles", *role)
    usual = [part for one in _own(form) for part in one.get("extension", [])]
    if persons is None:
        persons = [one for one in usual if one["url"] == "practitioner"]
    if roles is None:
        roles = [one for one in usual if one["url"] == "practitioner-role"]
    return persons + roles


def _own(form):
    return [one for one in form.get("extension", []) if one["url"] == FORM_AUTHORIZATION]


def composed(ask, form, questionnaire):
    """The form before it is on the server; `ask(name, …)` calls a function of the listener, if there is one."""
    admitted = _authorization(ask, form)
    made = ask("createQuestionnaireResponse", questionnaire)
    form = made or form
    others = [one for one in form.pop("extension", []) if one["url"] != FORM_AUTHORIZATION or made]
    named = admitted and not any(one["url"] == FORM_AUTHORIZATION for one in others)
    extensions = others + ([{"url": FORM_AUTHORIZATION, "extension": admitted}] if named else [])
    if extensions:
        form["extension"] = extensions
    return {"form": ask("beforeQuestionnaireResponseCreate", form) or form}
