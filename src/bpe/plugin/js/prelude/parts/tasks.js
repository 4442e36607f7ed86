// Inputs and outputs of Tasks.

export default ({ plugin, describe, isText }) => {
  const valueMember = (element) => Object.keys(element).find((name) => name.startsWith("value"));

  /** `coding, …` or `system, code, …` after the Task: a test of the type, and what follows. */
  function typeIn(all) {
    const [{ system, code, version }, rest] =
      typeof all[0] === "object" && all[0] !== null ? [all[0], all.slice(1)] : [{ system: all[0], code: all[1] }, all.slice(2)];
    const isOf = (parameter) =>
      (parameter.type?.coding ?? []).some(
        (coding) => coding.system === system && coding.code === code && (!version || coding.version === version),
      );
    return [isOf, rest];
  }

  function inputsOf(task, all) {
    const [isOf, [type]] = typeIn(all);
    return (task?.input ?? []).filter((input) => {
      const member = valueMember(input);
      return isOf(input) && member && (type === undefined || member === `value${type[0].toUpperCase()}${type.slice(1)}`);
    });
  }

  const hasExtension = (url) => (input) => (input.extension ?? []).some((extension) => extension.url === url);

  function parameter(value, system, code, version) {
    const coding =
      typeof system === "object" ? system : version === undefined ? { system, code } : { system, version, code };
    return { type: { coding: [coding] }, ...element(value) };
  }

  function element(value) {
    if (isText(value)) return { valueString: value };
    if (typeof value === "boolean") return { valueBoolean: value };
    if (typeof value === "number") {
      return Number.isInteger(value) ? { valueInteger: value } : { valueDecimal: value };
    }
    if (value !== null && typeof value === "object" && valueMember(value)) return value;
    throw new TypeError(`${describe(value)} is no parameter value; pass { valueReference: … } or the like`);
  }

  // Every getter takes a Coding or system and code, then if wanted a type such as "Reference"; those
  // with an extension take its url last.
  const taskHelper = {
    getInputParameters(task, ...all) {
      return inputsOf(task, all);
    },
    getFirstInputParameter(task, ...all) {
      return inputsOf(task, all)[0] ?? null;
    },
    getInputParametersWithExtension(task, ...all) {
      return inputsOf(task, all.slice(0, -1)).filter(hasExtension(all.at(-1)));
    },
    getFirstInputParameterWithExtension(task, ...all) {
      return this.getInputParametersWithExtension(task, ...all)[0] ?? null;
    },
    getInputParameterValues(task, ...all) {
      return inputsOf(task, all).map((input) => input[valueMember(input)]);
    },
    getFirstInputParameterValue(task, ...all) {
      return this.getInputParameterValues(task, ...all)[0] ?? null;
    },
    getInputParameterStringValues(task, ...all) {
      return inputsOf(task, [...all, "String"]).map((input) => input.valueString);
    },
    getFirstInputParameterStringValue(task, ...all) {
      return this.getInputParameterStringValues(task, ...all)[0] ?? null;
    },
    createInput: parameter,
    createOutput: parameter,
    getLocalVersionlessAbsoluteUrl(task) {
      return task?.id ? `${plugin.baseUrl}/Task/${task.id}` : null;
    },
  };

  /**
   * Outputs of the start Task (spec/bpe.md §6.5): a type is a Coding, or system, code and version. They are
   * on the server before the process ends.
   */
  function startTaskUpdater(variables, show) {
    const typeOf = (system, code, version) => {
      const coding = typeof system === "object" ? system : { system, version, code };
      for (const part of ["system", "version", "code"]) {
        if (!isText(coding?.[part]) || coding[part].trim() === "") {
          throw new TypeError(`the type of an output needs system, version and code; ${part} is missing`);
        }
      }
      return coding;
    };
    const isOf = ({ system, version, code }) => (output) =>
      (output.type?.coding ?? []).some((one) => one.system === system && one.version === version && one.code === code);
    const split = (all) => (typeof all[0] === "object" ? [typeOf(all[0]), all[1]] : [typeOf(...all), all[3]]);
    const change = (work) => {
      const task = variables.getStartTask();
      if (!task) throw new Error("the process was not started by a Task");
      task.output = work(task.output ?? []);
      if (task.output.length === 0) delete task.output;
      variables.updateTask(task);
      show();
    };
    const made = (type, value) => ({ type: { coding: [type] }, ...element(value) });
    const updater = {
      addOutput(...all) {
        const [type, value] = split(all);
        change((outputs) => [...outputs, made(type, value)]);
      },
      getOutput(...all) {
        const [type] = split(all);
        return (variables.getStartTask()?.output ?? []).find(isOf(type)) ?? null;
      },
      hasOutput(...all) {
        return this.getOutput(...all) !== null;
      },
      hasOuput(...all) {
        return this.getOutput(...all) !== null;
      },
      modifyOutput(...all) {
        const [type, value] = split(all);
        const is = isOf(type);
        change((outputs) => outputs.map((output) => (is(output) ? made(type, value) : output)));
      },
      removeOutput(...all) {
        const is = isOf(split(all)[0]);
        change((outputs) => outputs.filter((output) => !is(output)));
      },
    };
    return updater;
  }

  return { taskHelper, startTaskUpdater };
};
