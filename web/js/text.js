// What the page says, in Korean and English, and how it writes money, times and telephone numbers. What the service
// says (messages, reasons, labels) comes from the service in the same language.

const LANGUAGE = "pcs.language";

export function language() {
  return localStorage.getItem(LANGUAGE) === "en" ? "en" : "ko";
}

export function setLanguage(value) {
  localStorage.setItem(LANGUAGE, value);
  document.documentElement.lang = value;
}

const TEXTS = {
  title: ["상품 변경", "Change plan"],
  skip: ["본문으로 바로 가기", "Skip to content"],
  foot: ["로컬 스택의 시험용 화면입니다. 실제 요금은 청구되지 않습니다.", "Test page of the local stack. Nobody is billed."],
  navLabel: ["메뉴", "Menu"],
  menu: ["메뉴", "Menu"],
  plans: ["상품 변경", "Change plan"],
  history: ["변경 이력", "History"],
  logout: ["로그아웃", "Log out"],
  other: ["English", "한국어"],
  otherLabel: ["Switch to English", "한국어로 바꾸기"],
  loading: ["불러오는 중입니다", "Loading"],
  retry: ["다시 시도", "Try again"],
  retryIn: ["{0}초 후 자동으로 다시 시도합니다", "Trying again in {0} s"],
  back: ["이전으로", "Back"],
  toMenu: ["메뉴로 이동", "Go to the menu"],
  toHistory: ["변경 이력 보기", "See the history"],

  loginTitle: ["로그인", "Log in"],
  loginLead: ["내 회선의 요금제를 확인하고 바꿀 수 있습니다.", "See and change the plan of your line."],
  userId: ["아이디", "User id"],
  password: ["비밀번호", "Password"],
  loginButton: ["로그인", "Log in"],
  loginBusy: ["로그인 중…", "Logging in…"],
  loginWrong: ["아이디 또는 비밀번호가 올바르지 않습니다.", "The user id or password is not right."],
  loginLocked: ["이용할 수 없는 계정입니다.", "This account cannot be used."],
  loginEmpty: ["아이디와 비밀번호를 입력해 주세요.", "Please enter your user id and password."],
  loginExpired: ["로그인 시간이 지났습니다. 다시 로그인하시면 이어서 진행합니다.", "Your session has ended. Log in again to go on where you were."],
  loginBye: ["로그아웃되었습니다.", "You are logged out."],
  testers: ["시험용 고객", "Test customers"],
  testersLead: ["누르면 아이디와 비밀번호가 채워집니다.", "Press one to fill in the form."],
  lineTitle: ["회선 선택", "Choose a line"],
  lineLead: ["관리자는 회선을 지정해야 합니다.", "An administrator has to name the line."],
  lineNumber: ["회선 번호", "Line number"],
  lineBad: ["010으로 시작하는 11자리 번호를 입력해 주세요.", "Please enter 11 digits that begin with 010."],
  go: ["확인", "Continue"],

  hello: ["{0}님, 안녕하세요", "Hello, {0}"],
  helloNobody: ["안녕하세요", "Hello"],
  line: ["회선", "Line"],
  customerId: ["고객 번호", "Customer"],
  contract: ["가입일", "Since"],
  currentPlan: ["현재 이용 중인 상품", "Your current plan"],
  noPlan: ["현재 상품 정보를 확인할 수 없습니다.", "The current plan could not be determined."],
  data: ["데이터", "Data"],
  voice: ["음성", "Voice"],
  sms: ["문자", "Text"],
  fee: ["월 요금", "Monthly fee"],
  perMonth: ["/월", "/month"],
  ACTIVE: ["사용 중", "In use"],
  SUSPENDED: ["사용 정지", "Suspended"],
  TERMINATED: ["해지", "Terminated"],
  changeLead: ["다른 상품과 비교하고 바꿉니다", "Compare plans and change"],
  historyLead: ["지금까지의 신청과 결과를 봅니다", "Your requests and their results"],
  stale: ["통신사 연결이 원활하지 않아 {0} 전의 정보를 보여 드립니다.", "The carrier cannot be reached; this is how things were {0} ago."],
  openIntent: ["진행 중인 신청이 있습니다.", "You have a request under way."],
  openIntentGo: ["진행 상황 보기", "See how it goes"],

  plansTitle: ["어떤 상품으로 바꿀까요?", "Which plan would you like?"],
  plansLead: ["{0}개의 상품으로 바꿀 수 있습니다.", "You may change to {0} plans."],
  plansNone: ["지금 바꿀 수 있는 상품이 없습니다.", "There is no plan you could change to."],
  choose: ["선택", "Choose"],
  now: ["현재", "Now"],
  after: ["변경 후", "After"],
  difference: ["요금 차이", "Difference"],
  more: ["월 {0} 더 냅니다", "{0} more a month"],
  less: ["월 {0} 덜 냅니다", "{0} less a month"],
  same: ["요금이 같습니다", "Same fee"],
  thanNow: ["현재보다", "compared with now"],
  compare: ["현재 상품과 비교", "Compared with your plan"],
  chooseFirst: ["상품을 선택하면 현재 상품과 비교해 드립니다.", "Choose a plan to compare it with yours."],
  next: ["다음", "Next"],
  unavailable: ["선택할 수 없는 상품 {0}개", "{0} plans you cannot choose"],

  confirmTitle: ["신청 내용을 확인해 주세요", "Please check your request"],
  checks: ["사전 확인", "Pre-check"],
  checking: ["확인하고 있습니다…", "Checking…"],
  PRODUCT_AVAILABLE: ["판매 상품", "On sale"],
  OPERATOR_MATCH: ["통신사", "Operator"],
  LINE_STATUS: ["회선 상태", "Line"],
  checksGood: ["모든 확인을 마쳤습니다. 신청하실 수 있습니다.", "All checks passed. You may go ahead."],
  checksBad: ["이 상품으로는 변경할 수 없습니다.", "You cannot change to this plan."],
  note1: ["신청하면 바로 변경됩니다.", "The change takes effect at once."],
  note2: ["버튼을 여러 번 누르거나 새로 고쳐도 한 번만 신청됩니다.", "Pressing twice or reloading orders only once."],
  order: ["변경 신청하기", "Change my plan"],
  orderAnyway: ["그래도 신청하기", "Ask for it anyway"],
  orderAnywayLead: [
    "지금은 통신사에 확인할 수 없습니다. 신청하시면 통신사가 복구된 뒤 처리되거나, 접수되지 않으면 바로 알려 드립니다.",
    "The carrier cannot be asked now. If you go on, your request is either kept until it is back, or you are told at once that it was not taken.",
  ],
  chooseOther: ["다른 상품 선택", "Another plan"],
  planGone: ["선택하신 상품을 찾을 수 없습니다.", "The plan you chose was not found."],

  sending: ["신청하고 있습니다", "Sending your request"],
  sendingLead: ["잠시만 기다려 주세요. 화면을 닫거나 새로 고쳐도 두 번 신청되지 않습니다.", "One moment, please. Closing or reloading this page does not order twice."],
  lost: ["연결이 고르지 않습니다. 결과를 다시 확인하고 있습니다.", "The connection is unsteady. Looking for the result again."],
  lostLead: ["같은 신청으로 확인하므로 두 번 신청되지 않습니다.", "It is the same request: nothing is ordered twice."],
  busy: ["먼저 보낸 신청을 처리하고 있습니다.", "Your request is already being worked on."],
  unsentTitle: ["지금은 신청할 수 없습니다", "Not possible right now"],
  unsentLead: ["아무것도 신청되지 않았습니다. 요금제는 그대로입니다.", "Nothing was ordered. Your plan is as it was."],
  unsentWait: ["{0}초 후 다시 신청할 수 있습니다", "You can try again in {0} s"],
  unsentAgain: ["다시 신청하기", "Try again"],
  unsentStop: ["신청 그만두기", "Do not ask again"],

  processing: ["변경을 진행하고 있습니다", "Your change is under way"],
  processingLead: ["보통 몇 초 안에 끝납니다.", "This usually takes a few seconds."],
  doubt: ["통신사의 답을 확인하고 있습니다", "Checking with the carrier"],
  doubtLead: [
    "신청은 접수되었고, 처리되었는지 통신사에 확인하는 중입니다. 결과는 자동으로 표시됩니다. 다시 신청하지 마세요.",
    "Your request is safe with us; we are asking the carrier whether it went through. The result will appear by itself. Please do not ask again.",
  ],
  doubtClose: ["이 화면을 닫아도 됩니다. 결과는 변경 이력에 남습니다.", "You may close this page: the result will be in your history."],
  nextCheck: ["다음 확인", "Next look"],
  held: ["통신사가 복구되면 처리합니다", "Waiting for the carrier"],
  heldLead: ["신청을 보관하고 있습니다. 통신사가 복구되면 다시 확인한 뒤 자동으로 처리합니다.", "Your request is kept. Once the carrier is back it is checked again and sent by itself."],
  heldUntil: ["{0}까지 처리되지 않으면 자동으로 취소됩니다 (남은 시간 {1})", "If it cannot be sent by {0} it ends by itself ({1} left)"],
  cancel: ["신청 취소하기", "Cancel my request"],
  cancelSure: ["신청을 취소할까요?", "Cancel your request?"],
  cancelYes: ["네, 취소합니다", "Yes, cancel it"],
  cancelNo: ["아니요", "No"],
  cancelBusy: ["취소하고 있습니다…", "Cancelling…"],
  done: ["변경되었습니다", "Your plan has been changed"],
  failed: ["변경하지 못했습니다", "Your plan was not changed"],
  cancelled: ["신청을 취소했습니다", "Your request was cancelled"],
  unchanged: ["요금제는 그대로입니다.", "Your plan is as it was."],
  reason: ["사유", "Reason"],
  newPlan: ["변경된 상품", "Your new plan"],
  requestId: ["신청 번호", "Request"],
  orderNumber: ["통신사 주문 번호", "Carrier's order"],
  requestedAt: ["신청 시각", "Asked"],
  processedAt: ["처리 시각", "Done"],
  change: ["변경", "Change"],
  support: ["고객센터에 문의하실 때 신청 번호를 알려 주세요.", "When you contact support, tell them the request number."],
  notFound: ["신청을 찾을 수 없습니다", "The request was not found"],

  historyTitle: ["변경 이력", "Your changes"],
  historyEmpty: ["아직 변경 이력이 없습니다.", "There are no changes yet."],
  historyEmptyGo: ["상품 둘러보기", "Look at the plans"],
  page: ["{0} / {1} 쪽 · 모두 {2}건", "Page {0} of {1} · {2} in all"],
  newer: ["이전", "Newer"],
  older: ["다음", "Older"],
  pages: ["쪽 이동", "Pages"],
  PENDING: ["대기 중", "Waiting"],
  PROCESSING: ["진행 중", "Under way"],
  COMPLETED: ["완료", "Done"],
  FAILED: ["실패", "Not changed"],
  CANCELLED: ["취소", "Cancelled"],

  outage: ["통신사 시스템에 연결할 수 없습니다", "The carrier cannot be reached"],
  outageLead: ["잠시 후 자동으로 다시 시도합니다. 이용 중인 요금제에는 영향이 없습니다.", "We will try again by ourselves. Your plan is not affected."],
  down: ["서비스를 잠시 이용할 수 없습니다", "The service is out of order for a moment"],
  offline: ["인터넷에 연결되어 있지 않습니다. 연결되면 자동으로 이어집니다.", "You are offline. We go on as soon as you are back."],
  offlineTitle: ["연결할 수 없습니다", "No connection"],
  offlineLead: ["인터넷 연결을 확인해 주세요. 연결되면 자동으로 다시 불러옵니다.", "Please check your connection. The page loads again by itself."],
  forbidden: ["이용 권한이 없습니다", "You may not use this service"],
  otherUser: ["다른 계정으로 로그인", "Log in as somebody else"],
  wrong: ["문제가 생겼습니다", "Something went wrong"],
  correlation: ["문의 번호", "Reference"],
};

export function t(name, ...values) {
  const pair = TEXTS[name];
  const text = pair ? pair[language() === "en" ? 1 : 0] : name;
  return text.replace(/\{(\d)\}/g, (_, n) => values[n]);
}

const locale = () => (language() === "en" ? "en-GB" : "ko-KR");

export function won(value) {
  const number = Math.abs(value).toLocaleString(locale());
  return language() === "en" ? `₩${number}` : `${number}원`;
}

/** +14,000원, −20,000원, 0원 */
export function signed(value) {
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${won(value)}`;
}

export function difference(value) {
  return value > 0 ? t("more", won(value)) : value < 0 ? t("less", won(value)) : t("same");
}

export function line(number) {
  return number.replace(/^(\d{3})(\d{4})(\d{4})$/, "$1-$2-$3");
}

/** The service's allowances are Korean words; the common ones have English ones here. */
export function allowance(text) {
  if (language() !== "en") return text;
  return text
    .replace("무제한", "Unlimited")
    .replace("정보 없음", "Not known")
    .replace("기본 제공", "Included")
    .replace(/^([\d.,]+)분$/, "$1 min")
    .replace(/^([\d.,]+)건$/, "$1 texts");
}

export function time(text) {
  return new Intl.DateTimeFormat(locale(), { timeZone: "Asia/Seoul", dateStyle: "medium", timeStyle: "medium" }).format(new Date(text));
}

export function clock(text) {
  return new Intl.DateTimeFormat(locale(), { timeZone: "Asia/Seoul", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(
    new Date(text),
  );
}

export function day(text) {
  return new Intl.DateTimeFormat(locale(), { timeZone: "Asia/Seoul", dateStyle: "medium" }).format(new Date(`${text.slice(0, 10)}T00:00:00+09:00`));
}

/** 95 → 1분 35초 */
export function span(seconds) {
  const units = language() === "en" ? [" d", " h", " min", " s"] : ["일", "시간", "분", "초"];
  const parts = [86400, 3600, 60, 1].map((size, n) => {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    return count ? `${count}${units[n]}` : "";
  });
  return parts.filter(Boolean).slice(0, 2).join(" ") || `0${units[3]}`;
}
