// Repairs on their way to the server. They are written down here first and crossed out when the server has them, so
// that a lost connection, a closed lid or a reloaded page loses none.

import { Lost, isOut } from "./talk.js";

export class Queue {
  // `name` keeps one person's repairs apart from another's on the same machine.
  constructor(talk, clip, name, told) {
    this.talk = talk;
    this.key = `lesveil ${clip} ${name}`;
    this.told = told;
    this.sending = false;
    this.wait = 500;
    window.addEventListener("online", () => this.send());
  }

  get items() {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key) || "[]");
      return Array.isArray(kept) ? kept : [];
    } catch {
      return [];
    }
  }

  set items(items) {
    if (items.length) localStorage.setItem(this.key, JSON.stringify(items));
    else localStorage.removeItem(this.key);
  }

  put(path, body) {
    this.items = [...this.items, { path, body }];
    return this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    try {
      while (this.items.length) {
        const [first] = this.items;
        try {
          await this.talk.ask(first.path, first.body);
          this.told("sent", first);
        } catch (error) {
          if (error instanceof Lost || isOut(error)) {
            this.told(isOut(error) ? "signed out" : "lost", first, error.message);
            this.wait = Math.min(this.wait * 2, 10000);
            setTimeout(() => this.send(), this.wait);
            return;
          }
          this.told("refused", first, error.message);
        }
        // what was put in the meantime stays, by another tab too: tabs of one person share what waits
        this.items = this.items.filter((one) => one.path !== first.path || one.body.id !== first.body.id);
        this.wait = 500;
      }
      this.told("empty");
    } finally {
      this.sending = false;
    }
  }
}
