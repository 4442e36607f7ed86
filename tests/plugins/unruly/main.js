export const activities = {
  "org.example.Loop": () => {
    for (;;);
  },

  "org.example.Allocate": () => {
    const all = [];
    for (;;) all.push("x".repeat(100_000) + all.length);
  },

  "org.example.Throw": () => {
    throw new TypeError("thrown on purpose");
  },

  // No value of a variable.
  "org.example.Rubbish": (api, variables) => {
    variables.setVariable("rubbish", Symbol("rubbish"));
  },

  "org.example.Behave": (api, variables) => {
    variables.setString("behaved", "yes");
  },
};
