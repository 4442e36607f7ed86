// The variables of the process instance, as code reads and changes them.

class Variables {
  #visible;
  #local;
  #settings = [];
  #context;
  #tasks;
  #changed = new Map();
  #shown = false;

  constructor(call) {
    this.#visible = new Map(call.visible);
    this.#local = new Set(call.local);
    this.#context = call.context;
    this.#tasks = call.tasks;
  }

  /** What code has changed so far. */
  static effects(variables) {
    return { settings: variables.#settings, tasks: [...variables.#changed.values()], shown: variables.#shown };
  }

  #read(name) {
    const value = this.#visible.get(name);
    return value === undefined ? null : decode(value);
  }

  #readLocal(name) {
    return this.#local.has(name) ? this.#read(name) : null;
  }

  #write(name, value, local) {
    if (typeof name !== "string" || name === "") throw new TypeError("the name of a variable must be a text");
    this.#settings.push([name, value, local]);
    if (local) this.#local.add(name);
    this.#visible.set(name, value);
  }

  getBusinessKey() {
    return this.#context.businessKey;
  }
  getCurrentActivityId() {
    return this.#context.activityId;
  }
  getActivityInstanceId() {
    return this.#context.activityInstanceId;
  }
  getProcessDefinitionId() {
    return this.#context.processDefinitionId;
  }
  getAlternativeBusinessKey() {
    return this.#read(ALTERNATIVE_KEY);
  }
  setAlternativeBusinessKey(key) {
    this.#write(ALTERNATIVE_KEY, TYPES.String(key), false);
  }

  createTarget(organization, endpoint, url, correlationKey) {
    return createTarget(organization, endpoint, url, correlationKey);
  }
  createTargets(...targets) {
    return createTargets(...targets);
  }
  getTarget() {
    return this.#read("target");
  }
  setTarget(target) {
    if (!(target instanceof Target)) throw new TypeError("setTarget: only a Target made by createTarget");
    this.#write("target", encodeAny(target), false);
  }
  getTargets() {
    return this.#read("targets");
  }
  setTargets(targets) {
    if (!(targets instanceof Targets)) throw new TypeError("setTargets: only Targets made by createTargets");
    this.#write("targets", encodeAny(targets), false);
  }

  getStartTask() {
    return copy(this.#tasks.start) ?? null;
  }
  getLatestTask() {
    return copy(this.#tasks.current.at(-1)) ?? null;
  }
  getTasks() {
    return copy(this.#tasks.all);
  }
  getCurrentTasks() {
    return copy(this.#tasks.current);
  }
  updateTask(task) {
    const { start, current, all } = this.#tasks;
    const known = [start, ...current, ...all].some((one) => one && one.id === task?.id);
    if (!known) {
      native.log("warn", `updateTask: Task/${task?.id} is not a Task of this process instance`);
      return;
    }
    const changed = copy(task);
    const replaced = (one) => (one?.id === changed.id ? changed : one);
    this.#tasks = { start: replaced(start), current: current.map(replaced), all: all.map(replaced) };
    this.#changed.set(changed.id, changed);
  }

  getLatestReceivedQuestionnaireResponse() {
    return this.#read(plugin.receivedResponse);
  }

  getStartTaskUpdater() {
    return part("tasks").startTaskUpdater(this, () => {
      this.#shown = true;
    });
  }

  getVariable(name) {
    return this.#read(name);
  }
  getVariableLocal(name) {
    return this.#readLocal(name);
  }
  setVariable(name, value) {
    this.#write(name, value === null ? ["null"] : encodeAny(value), false);
  }
  setVariableLocal(name, value) {
    this.#write(name, value === null ? ["null"] : encodeAny(value), true);
  }
  hasVariable(name) {
    return this.#visible.has(name);
  }
  removeVariable(name) {
    this.#settings.push([name, null, false]);
    this.#visible.delete(name);
    this.#local.delete(name);
  }
  getJsonVariable(name) {
    return this.#read(name);
  }
  getJsonVariableLocal(name) {
    return this.#readLocal(name);
  }
  setJsonVariable(name, value) {
    this.#write(name, encodeJson(value), false);
  }
  setJsonVariableLocal(name, value) {
    this.#write(name, encodeJson(value), true);
  }

  static {
    // get…, set… and their local forms, of every type.
    for (const [type, encoder] of Object.entries(TYPES)) {
      const encoded = (value) => (value === null ? ["null"] : encoder(value));
      const told = type === "File" ? (value) => value && decodeFile(value) : (value) => value;
      this.prototype[`get${type}`] = function (name) {
        return told(this.#read(name));
      };
      this.prototype[`get${type}Local`] = function (name) {
        return told(this.#readLocal(name));
      };
      this.prototype[`set${type}`] = function (name, value) {
        this.#write(name, encoded(value), false);
      };
      this.prototype[`set${type}Local`] = function (name, value) {
        this.#write(name, encoded(value), true);
      };
    }
  }
}
