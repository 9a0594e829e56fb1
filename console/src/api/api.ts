/** HTTP to the program that served this page: CSRF token, one key per command, errors as sentences. */
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

const ANSWER_WITHIN_MS = 8_000;

/** What went wrong: `code` is a kind of src/safecity/errors.py, or "offline" when no answer came. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

export interface CommandAnswer {
  readonly seq?: number;
  readonly incident?: Incident;
  readonly assignments?: readonly Assignment[];
  readonly call?: Call;
  readonly unit?: Unit;
  readonly assignment?: Assignment | null;
}

/** A key that makes a repeated command the same command; works without a secure context too. */
export function commandKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Api {
  #csrf = "";

  constructor(private readonly request: typeof fetch = (...args) => fetch(...args)) {}

  async session(): Promise<Session> {
    return this.#keep(await this.#call<Session>("GET", "/api/session"));
  }

  async signIn(name: string, password: string): Promise<Session> {
    this.#keep(await this.#call<Session>("POST", "/api/sign-in", { name, password }));
    return this.session();
  }

  async checkLink(token: string): Promise<boolean> {
    const answer = await this.#call<{ valid: boolean }>("POST", "/api/sign-in/link/check", { token });
    return answer.valid;
  }

  async useLink(token: string, name: string, password: string): Promise<Session> {
    this.#keep(await this.#call<Session>("POST", "/api/sign-in/link", { token, name, password }));
    return this.session();
  }

  signOut(): Promise<unknown> {
    return this.#call("DELETE", "/api/session");
  }

  incident(id: string): Promise<IncidentDetail> {
    return this.#call("GET", `/api/incidents/${encodeURIComponent(id)}`);
  }

  recommendation(id: string): Promise<Recommendation> {
    return this.#call("GET", `/api/incidents/${encodeURIComponent(id)}/recommendation`);
  }

  /** Give an incident a command: acknowledge, dispatch, close, reopen, priority, note, units/ID/cancel. */
  incidentCommand(id: string, command: string, body: unknown = {}): Promise<CommandAnswer> {
    return this.#call("POST", `/api/incidents/${encodeURIComponent(id)}/${command}`, body);
  }

  /** Give a unit a command: depart, arrive, clear, stand_down, stand_up, sign_off, sign_on. */
  unitCommand(id: string, command: string): Promise<CommandAnswer> {
    return this.#call("POST", `/api/units/${encodeURIComponent(id)}/${command}`, {});
  }

  /** Give a call a command: claim, release, take, abandon, call_back, submit, close. */
  callCommand(id: string, command: string, body: unknown = {}): Promise<CommandAnswer> {
    return this.#call("POST", `/api/calls/${encodeURIComponent(id)}/${command}`, body);
  }

  typedCall(body: unknown): Promise<CommandAnswer> {
    return this.#call("POST", "/api/calls/typed", body);
  }

  async search(words: string): Promise<readonly FoundPlace[]> {
    const answer = await this.#call<{ places?: FoundPlace[] }>(
      "GET",
      `/api/search?q=${encodeURIComponent(words)}`,
    );
    return answer.places ?? [];
  }

  /** Entries after a sequence, oldest first, and the last sequence there is. */
  journal(after: number, limit: number): Promise<JournalPage> {
    return this.#call("GET", `/api/journal?after=${after}&limit=${limit}`);
  }

  check(): Promise<CheckReport> {
    return this.#call("GET", "/api/check");
  }

  #keep(session: Session): Session {
    this.#csrf = session.csrf_token ?? this.#csrf;
    return session;
  }

  async #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = { accept: "application/json" };
    if (method !== "GET") {
      headers["content-type"] = "application/json";
      headers["x-csrf-token"] = this.#csrf;
      headers["idempotency-key"] = commandKey();
    }
    let response: Response;
    try {
      response = await this.request(path, {
        method,
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new ApiError("offline", "");
    }
    if (!response.ok) throw await readError(response);
    return (response.status === 204 ? {} : await response.json()) as T;
  }
}

async function readError(response: Response): Promise<ApiError> {
  try {
    const body = (await response.json()) as { code?: string; message?: string };
    return new ApiError(body.code ?? "internal", body.message ?? "", response.status);
  } catch {
    return new ApiError("internal", "", response.status);
  }
}
