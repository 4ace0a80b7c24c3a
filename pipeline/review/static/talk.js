// Talking to the server. A connection that is lost is no error of the person who sits here; nor is trouble of the house
// (503), which says what it is.

export class Lost extends Error {}
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// Nobody, or somebody else, is signed in now: that says nothing of what was asked for.
export const isOut = (error) => error.status === 401 || error.status === 403;

export class Talk {
  constructor(setup) {
    this.base = `/data/clips/${encodeURIComponent(setup.clip)}`;
    this.setup = setup;
    this.token = setup.token;
  }

  async ask(path, body) {
    try {
      return await this.send(this.base + path, body);
    } catch (error) {
      if (error.status !== 403 || body === undefined) throw error;
      await this.renew();
      return this.send(this.base + path, body);
    }
  }

  // Who signed in again has another token. Somebody else who did must not send what this person asked for.
  async renew() {
    const { name, role, token } = await this.send("/data/session");
    if (name !== this.setup.name || role !== this.setup.role) throw new Refused(401, "");
    this.token = token;
  }

  async send(path, body) {
    const options = { headers: {}, credentials: "same-origin", cache: "no-store" };
    if (body !== undefined) {
      options.method = "POST";
      options.headers["content-type"] = "application/json";
      options.headers["x-csrf-token"] = this.token;
      options.body = JSON.stringify(body);
    }
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Lost();
    }
    const said = await answer.json().catch(() => ({}));
    if (answer.status === 429 || answer.status >= 500) throw new Lost(answer.status === 503 ? said.problem : "");
    if (!answer.ok) throw new Refused(answer.status, said.problem || String(answer.status));
    return said;
  }
}

// 32 hexadecimal digits, made here, so that what is sent twice is known to be one.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
}
