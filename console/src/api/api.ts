/** What the program that served this page is asked and told. */
import type { CameraSetup, Hold } from "../model/camera";
import type {
  Assignment,
  Call,
  CheckReport,
  FoundPlace,
  Incident,
  IncidentDetail,
  JournalPage,
  Recommendation,
  Session,
  Unit,
} from "../model/types";
import { CameraApi } from "./cameras";
import { Http } from "./http";

export { ApiError } from "./http";

export interface CommandAnswer {
  readonly seq?: number;
  readonly incident?: Incident;
  readonly assignments?: readonly Assignment[];
  readonly call?: Call;
  readonly unit?: Unit;
  readonly assignment?: Assignment | null;
  readonly setup?: CameraSetup;
  readonly hold?: Hold;
}

export class Api {
  readonly #http: Http;
  readonly cameras: CameraApi;

  constructor(http = new Http()) {
    this.#http = http;
    this.cameras = new CameraApi(http);
  }

  async session(): Promise<Session> {
    return this.#keep(await this.#http.call<Session>("GET", "/api/session"));
  }

  async signIn(name: string, password: string): Promise<Session> {
    this.#keep(await this.#http.call<Session>("POST", "/api/sign-in", { name, password }));
    return this.session();
  }

  async checkLink(token: string): Promise<boolean> {
    const answer = await this.#http.call<{ valid: boolean }>("POST", "/api/sign-in/link/check", { token });
    return answer.valid;
  }

  async useLink(token: string, name: string, password: string): Promise<Session> {
    this.#keep(await this.#http.call<Session>("POST", "/api/sign-in/link", { token, name, password }));
    return this.session();
  }

  signOut(): Promise<unknown> {
    return this.#http.call("DELETE", "/api/session");
  }

  incident(id: string): Promise<IncidentDetail> {
    return this.#http.call("GET", `/api/incidents/${encodeURIComponent(id)}`);
  }

  recommendation(id: string): Promise<Recommendation> {
    return this.#http.call("GET", `/api/incidents/${encodeURIComponent(id)}/recommendation`);
  }

  /** Give an incident a command: acknowledge, dispatch, close, reopen, priority, note, units/ID/cancel. */
  incidentCommand(id: string, command: string, body: unknown = {}): Promise<CommandAnswer> {
    return this.#http.call("POST", `/api/incidents/${encodeURIComponent(id)}/${command}`, body);
  }

  /** Give a unit a command: depart, arrive, clear, stand_down, stand_up, sign_off, sign_on. */
  unitCommand(id: string, command: string): Promise<CommandAnswer> {
    return this.#http.call("POST", `/api/units/${encodeURIComponent(id)}/${command}`, {});
  }

  /** Give a call a command: claim, release, take, abandon, call_back, submit, close. */
  callCommand(id: string, command: string, body: unknown = {}): Promise<CommandAnswer> {
    return this.#http.call("POST", `/api/calls/${encodeURIComponent(id)}/${command}`, body);
  }

  typedCall(body: unknown): Promise<CommandAnswer> {
    return this.#http.call("POST", "/api/calls/typed", body);
  }

  async search(words: string): Promise<readonly FoundPlace[]> {
    const answer = await this.#http.call<{ places?: FoundPlace[] }>(
      "GET",
      `/api/search?q=${encodeURIComponent(words)}`,
    );
    return answer.places ?? [];
  }

  /** Entries after a sequence, oldest first, and the last sequence there is. */
  journal(after: number, limit: number): Promise<JournalPage> {
    return this.#http.call("GET", `/api/journal?after=${after}&limit=${limit}`);
  }

  check(): Promise<CheckReport> {
    return this.#http.call("GET", "/api/check");
  }

  #keep(session: Session): Session {
    this.#http.keepToken(session.csrf_token);
    return session;
  }
}
