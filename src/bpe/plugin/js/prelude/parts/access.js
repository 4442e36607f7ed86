// Who may read a resource, and who may send and receive a message.

export default ({ copy, stringify, isText, identifierOf, CODE_SYSTEM, SID_ORGANIZATION, READ_ACCESS_TAG }) => {
  const PROFILE = "http://dsf.dev/fhir/StructureDefinition/";

  const tagsOf = (resource) =>
    (resource?.meta?.tag ?? []).filter((tag) => tag.system === READ_ACCESS_TAG);

  function addTag(resource, tag) {
    resource.meta ??= {};
    const tags = (resource.meta.tag ??= []);
    if (!tags.some((one) => stringify(one) === stringify(tag))) tags.push(tag);
    return resource;
  }

  const organizationExtension = (url, id) => ({
    url,
    valueIdentifier: { system: SID_ORGANIZATION, value: id },
  });

  // An Organization, an affiliation's identifiers, an Identifier, or its value.
  const identifierValue = (one) =>
    isText(one) ? one : one?.resourceType === "Organization" ? identifierOf(one, SID_ORGANIZATION)?.value : one?.value;

  /** Parent and roles of a membership. */
  function rolesOf(affiliation) {
    const parent = identifierValue(affiliation.organization?.identifier);
    const codings = (affiliation.code ?? []).flatMap((concept) => concept.coding ?? []);
    return codings.map(({ system, code }) => [parent, system, code]);
  }

  const readAccessHelper = {
    addLocal(resource) {
      return addTag(resource, { system: READ_ACCESS_TAG, code: "LOCAL" });
    },
    addOrganization(resource, organization) {
      const id = identifierValue(organization);
      if (!id) throw new TypeError("addOrganization: the organization has no identifier");
      const extension = [organizationExtension(`${PROFILE}extension-read-access-organization`, id)];
      return addTag(this.addLocal(resource), { extension, system: READ_ACCESS_TAG, code: "ORGANIZATION" });
    },
    /** `parent, system, code`, or an OrganizationAffiliation. */
    addRole(resource, parent, system, code) {
      if (parent?.resourceType === "OrganizationAffiliation") {
        for (const role of rolesOf(parent)) this.addRole(resource, ...role);
        return resource;
      }
      const parts = [
        organizationExtension("parent-organization", parent),
        { url: "organization-role", valueCoding: { system, code } },
      ];
      const extension = [{ url: `${PROFILE}extension-read-access-parent-organization-role`, extension: parts }];
      return addTag(this.addLocal(resource), { extension, system: READ_ACCESS_TAG, code: "ROLE" });
    },
    addAll(resource) {
      resource.meta ??= {};
      resource.meta.tag = (resource.meta.tag ?? []).filter((tag) => tag.system !== READ_ACCESS_TAG);
      return addTag(resource, { system: READ_ACCESS_TAG, code: "ALL" });
    },
    hasLocal(resource) {
      return tagsOf(resource).some((tag) => tag.code === "LOCAL");
    },
    hasOrganization(resource, organization) {
      const id = identifierValue(organization);
      return tagsOf(resource).some((tag) => tag.code === "ORGANIZATION" && organizationOf(tag) === id);
    },
    hasAnyOrganization(resource) {
      return tagsOf(resource).some((tag) => tag.code === "ORGANIZATION");
    },
    /** `parent, system, code`, or one or several OrganizationAffiliations. */
    hasRole(resource, parent, system, code) {
      if (typeof parent === "object") {
        return [parent].flat().some((one) => rolesOf(one).some((role) => this.hasRole(resource, ...role)));
      }
      return tagsOf(resource).some((tag) => {
        const found = roleOf(tag);
        return found?.parent === parent && found.system === system && found.code === code;
      });
    },
    hasAnyRole(resource) {
      return tagsOf(resource).some((tag) => tag.code === "ROLE");
    },
    hasAll(resource) {
      return tagsOf(resource).some((tag) => tag.code === "ALL");
    },
    /** ALL alone, or LOCAL once with any number of well-formed others. */
    isValid(resource, organizationExists = () => true, roleExists = () => true) {
      const tags = tagsOf(resource);
      const count = (code) => tags.filter((tag) => tag.code === code).length;
      if (count("ALL") > 0) return tags.length === 1;
      return count("LOCAL") === 1 && tags.every((tag) => isWellFormed(tag, organizationExists, roleExists));
    },
  };

  function organizationOf(tag) {
    const url = `${PROFILE}extension-read-access-organization`;
    const identifier = tag.extension?.find((one) => one.url === url)?.valueIdentifier;
    return identifier?.system === SID_ORGANIZATION ? identifier.value : undefined;
  }

  function roleOf(tag) {
    if (tag.code !== "ROLE") return null;
    const url = `${PROFILE}extension-read-access-parent-organization-role`;
    const parts = tag.extension?.find((one) => one.url === url)?.extension ?? [];
    const parent = parts.find((part) => part.url === "parent-organization")?.valueIdentifier;
    const role = parts.find((part) => part.url === "organization-role")?.valueCoding;
    const complete = parent?.system === SID_ORGANIZATION && parent.value && role?.system && role.code;
    return complete ? { parent: parent.value, system: role.system, code: role.code } : null;
  }

  function isWellFormed(tag, organizationExists, roleExists) {
    if (tag.code === "LOCAL") return true;
    const known = (value) => organizationExists({ system: SID_ORGANIZATION, value });
    if (tag.code === "ORGANIZATION") return Boolean(organizationOf(tag)) && known(organizationOf(tag));
    const role = roleOf(tag);
    return role !== null && known(role.parent) && roleExists({ system: role.system, code: role.code });
  }

  const PROCESS_AUTHORIZATION = `${CODE_SYSTEM}process-authorization`;
  const AUTHORIZATION = `${PROFILE}extension-process-authorization`;

  const organizationPart = (url, value) => organizationExtension(url, value);
  const codingPart = (url, system, code) => ({ url, valueCoding: { system, code } });
  const coding = (code, extension) => ({
    ...(extension ? { extension: [extension] } : {}),
    system: PROCESS_AUTHORIZATION,
    code,
  });

  /** The coding of who may send or receive: `code` for organisations, persons, members in a role. */
  const codings = {
    all: (place) => coding(`${place}_ALL`),
    allPractitioner: (place, system, code) =>
      coding(`${place}_ALL_PRACTITIONER`, codingPart(`${AUTHORIZATION}-practitioner`, system, code)),
    organization: (place, id) =>
      coding(`${place}_ORGANIZATION`, organizationPart(`${AUTHORIZATION}-organization`, id)),
    organizationPractitioner: (place, id, system, code) =>
      coding(`${place}_ORGANIZATION_PRACTITIONER`, {
        url: `${AUTHORIZATION}-organization-practitioner`,
        extension: [organizationPart("organization", id), codingPart("practitioner-role", system, code)],
      }),
    role: (place, parent, system, code) =>
      coding(`${place}_ROLE`, {
        url: `${AUTHORIZATION}-parent-organization-role`,
        extension: [organizationPart("parent-organization", parent), codingPart("organization-role", system, code)],
      }),
    rolePractitioner: (place, parent, system, code, practitionerSystem, practitionerCode) =>
      coding(`${place}_ROLE_PRACTITIONER`, {
        url: `${AUTHORIZATION}-parent-organization-role-practitioner`,
        extension: [
          organizationPart("parent-organization", parent),
          codingPart("organization-role", system, code),
          codingPart("practitioner-role", practitionerSystem, practitionerCode),
        ],
      }),
  };

  /** One coding read back: whom it means. */
  function meaning(value) {
    if (value?.system !== PROCESS_AUTHORIZATION) return null;
    const found = /^(LOCAL|REMOTE)_(ALL|ORGANIZATION|ROLE)(_PRACTITIONER)?$/.exec(value.code ?? "");
    if (!found) return null;
    const [, place, kind, practitioner] = found;
    const plain = value.extension?.[0];
    const named = new Map([...(plain?.extension ?? []), ...(plain ? [plain] : [])].map((one) => [one.url, one]));
    const first = (...urls) => urls.map((url) => named.get(url)).find((one) => one !== undefined);
    const all = kind === "ALL";
    return {
      local: place === "LOCAL",
      organization: kind === "ORGANIZATION" ? first("organization", `${AUTHORIZATION}-organization`)?.valueIdentifier : null,
      parent: kind === "ROLE" ? first("parent-organization")?.valueIdentifier : null,
      role: kind === "ROLE" ? first("organization-role")?.valueCoding : null,
      practitioner: practitioner
        ? first("practitioner-role", ...(all ? [`${AUTHORIZATION}-practitioner`] : []))?.valueCoding
        : null,
      all,
      person: Boolean(practitioner),
    };
  }

  const isCoding = (one) => Boolean(one?.system && one.code);
  const isOrganization = (one) => one?.system === SID_ORGANIZATION && Boolean(one.value);
  const sameCoding = (one, other) => isCoding(one) && one.system === other?.system && one.code === other.code;

  function isComplete(who) {
    if (!who) return false;
    const named = who.all || (who.organization ? isOrganization(who.organization) : isOrganization(who.parent) && isCoding(who.role));
    return named && (!who.person || isCoding(who.practitioner));
  }

  /** Whom a requester or recipient means, and whether somebody is one of them. */
  class Party {
    #element;
    #coding;
    #who;
    constructor(element, coding) {
      this.#element = element;
      this.#coding = coding;
      this.#who = meaning(coding);
    }
    getProcessAuthorizationCode() {
      return { system: PROCESS_AUTHORIZATION, code: this.#coding.code };
    }
    toExtension() {
      return { url: this.#element, valueCoding: copy(this.#coding) };
    }
    matches(extension) {
      return extension?.url === this.#element && stringify(meaning(extension.valueCoding)) === stringify(this.#who);
    }
    /**
     * An identity is `{ local, organization, practitionerRoles? }`: with practitionerRoles it is a
     * person, without it an organisation. Affiliations are those of its organisation.
     */
    isAuthorized(identity, affiliations = []) {
      const who = this.#who;
      if (!who || !identity?.organization || identity.organization.active === false) return false;
      if (Boolean(identity.local) !== who.local) return false;
      const roles = identity.practitionerRoles;
      if (who.person !== Array.isArray(roles)) return false;
      if (who.person && !roles.some((role) => sameCoding(who.practitioner, role))) return false;
      if (who.all) return true;
      const own = identifierOf(identity.organization, SID_ORGANIZATION)?.value;
      if (who.organization) return isText(own) && who.organization.value === own;
      return affiliations.some(
        (one) =>
          one.active === true &&
          identifierValue(one.participatingOrganization?.identifier) === own &&
          rolesOf(one).some(([parent, system, code]) => parent === who.parent?.value && sameCoding(who.role, { system, code })),
      );
    }
  }

  class Requester extends Party {
    constructor(coding) {
      super("requester", coding);
    }
    toRequesterExtension() {
      return this.toExtension();
    }
    requesterMatches(extension) {
      return this.matches(extension);
    }
    isRequesterAuthorized(identity, affiliations) {
      return this.isAuthorized(identity, affiliations);
    }
  }

  class Recipient extends Party {
    constructor(coding) {
      super("recipient", coding);
    }
    toRecipientExtension() {
      return this.toExtension();
    }
    recipientMatches(extension) {
      return this.matches(extension);
    }
    isRecipientAuthorized(identity, affiliations) {
      return this.isAuthorized(identity, affiliations);
    }
  }

  const requesterFactory = {
    localAll: () => new Requester(codings.all("LOCAL")),
    remoteAll: () => new Requester(codings.all("REMOTE")),
    localAllPractitioner: (...all) => new Requester(codings.allPractitioner("LOCAL", ...all)),
    localOrganization: (id) => new Requester(codings.organization("LOCAL", id)),
    remoteOrganization: (id) => new Requester(codings.organization("REMOTE", id)),
    localOrganizationPractitioner: (...all) => new Requester(codings.organizationPractitioner("LOCAL", ...all)),
    localRole: (...all) => new Requester(codings.role("LOCAL", ...all)),
    remoteRole: (...all) => new Requester(codings.role("REMOTE", ...all)),
    localRolePractitioner: (...all) => new Requester(codings.rolePractitioner("LOCAL", ...all)),
  };

  const recipientFactory = {
    localAll: () => new Recipient(codings.all("LOCAL")),
    localOrganization: (id) => new Recipient(codings.organization("LOCAL", id)),
    localRole: (...all) => new Recipient(codings.role("LOCAL", ...all)),
  };

  const authorizationsOf = (definition) =>
    (definition?.extension ?? []).filter((extension) => extension.url === AUTHORIZATION);
  const valuesOf = (authorization, url) => (authorization.extension ?? []).filter((part) => part.url === url);

  /** Those of a process in a version that are for a message and one of its profiles. */
  function partiesIn(definition, url, version, message, profiles, element) {
    if (definition?.url !== url || definition.version !== version) return [];
    const wanted = [profiles].flat();
    return authorizationsOf(definition)
      .filter(
        (one) =>
          valuesOf(one, "message-name")[0]?.valueString === message &&
          wanted.includes(valuesOf(one, "task-profile")[0]?.valueCanonical),
      )
      .flatMap((one) => valuesOf(one, element).map((part) => part.valueCoding));
  }

  const yes = () => true;
  const processAuthorizationHelper = {
    getRequesterFactory: () => requesterFactory,
    getRecipientFactory: () => recipientFactory,
    /** Adds to the definition itself: requesters and recipients are one or several. */
    add(definition, messageName, taskProfile, requesters, recipients) {
      const extension = [
        { url: "message-name", valueString: messageName },
        { url: "task-profile", valueCanonical: taskProfile },
        ...[requesters].flat().map((one) => one.toRequesterExtension()),
        ...[recipients].flat().map((one) => one.toRecipientExtension()),
      ];
      (definition.extension ??= []).push({ url: AUTHORIZATION, extension });
      return definition;
    },
    isValid(definition, profileExists = yes, practitionerRoleExists = yes, organizationExists = yes, roleExists = yes) {
      const isKnown = (who) =>
        isComplete(who) &&
        (!who.organization || organizationExists(who.organization)) &&
        (!who.parent || (organizationExists(who.parent) && roleExists(who.role))) &&
        (!who.practitioner || practitionerRoleExists(who.practitioner));
      const all = authorizationsOf(definition);
      return (
        all.length > 0 &&
        all.every((one) => {
          const [names, profiles] = [valuesOf(one, "message-name"), valuesOf(one, "task-profile")];
          const parties = (url) => valuesOf(one, url).map((part) => meaning(part.valueCoding));
          const [from, to] = [parties("requester"), parties("recipient")];
          return (
            names.length === 1 && isText(names[0].valueString) && names[0].valueString !== "" &&
            profiles.length === 1 && isText(profiles[0].valueCanonical) && profileExists(profiles[0].valueCanonical) &&
            from.length > 0 && from.every(isKnown) &&
            to.length > 0 && to.every((who) => isKnown(who) && who.local && !who.person)
          );
        })
      );
    },
    /** A process is `url, version`, or `url|version` in one. */
    getRequesters(definition, ...all) {
      const [url, version, message, profiles] = processIn(all);
      return partiesIn(definition, url, version, message, profiles, "requester").map((one) => new Requester(one));
    },
    getRecipients(definition, ...all) {
      const [url, version, message, profiles] = processIn(all);
      return partiesIn(definition, url, version, message, profiles, "recipient").map((one) => new Recipient(one));
    },
  };

  const processIn = (all) => (all.length === 3 ? [...all[0].split("|"), ...all.slice(1)] : all);

  return { readAccessHelper, processAuthorizationHelper };
};
