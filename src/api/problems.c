/* problems.c - the domain's errors: code, status and what the customer reads (CONTRACT.md 1, table). */
#include "api/common.h"

#define PROBLEM(name, c, s, k, e)                                                                            \
    const struct http_problem problem_##name = {.code = c, .status = s, .ko = k, .en = e}

PROBLEM(unauthorized, "UNAUTHORIZED", 401, "인증이 필요합니다", "Authentication is required");
PROBLEM(forbidden, "FORBIDDEN", 403, "서비스 이용 권한이 없습니다",
        "You are not allowed to use this service");
PROBLEM(line_not_found, "LINE_NOT_FOUND", 404, "회선을 찾을 수 없습니다", "The line was not found");
PROBLEM(request_not_found, "REQUEST_NOT_FOUND", 404, "상품 변경 신청을 찾을 수 없습니다",
        "The change request was not found");
PROBLEM(validation_failed, "VALIDATION_FAILED", 409, "상품 사전 체크에 실패하였습니다",
        "The plan pre-check failed");
PROBLEM(product_mismatch, "CURRENT_PRODUCT_MISMATCH", 409, "현재 이용 중인 상품이 요청과 다릅니다",
        "The current plan is not the one in the request");
PROBLEM(same_product, "SAME_PRODUCT", 409, "현재 이용 중인 상품과 같은 상품입니다",
        "The plan is the one already in use");
PROBLEM(change_in_progress, "CHANGE_IN_PROGRESS", 409, "이미 진행 중인 상품 변경이 있습니다",
        "A plan change of this line is already under way");
PROBLEM(product_unknown, "CURRENT_PRODUCT_UNKNOWN", 409, "현재 이용 중인 상품을 확인할 수 없습니다",
        "The line's current plan could not be determined");
PROBLEM(line_suspended, "LINE_SUSPENDED", 409, "사용 중이 아닌 회선입니다", "The line is not in use");
PROBLEM(change_denied, "CHANGE_DENIED", 409, "상품 변경에 실패하였습니다", "Your plan could not be changed");
PROBLEM(not_cancellable, "NOT_CANCELLABLE", 409, "이미 처리 중이거나 완료되어 취소할 수 없습니다",
        "The change has been sent or has ended and cannot be cancelled");
PROBLEM(key_reused, "IDEMPOTENCY_KEY_REUSED", 422, "같은 Idempotency-Key가 다른 내용으로 사용되었습니다",
        "The Idempotency-Key was used with another body");
PROBLEM(kos_unavailable, "KOS_UNAVAILABLE", 503, "시스템 일시 장애, 잠시 후 재시도",
        "Temporary system failure, please try again shortly");
PROBLEM(menu_failed, "KOS_UNAVAILABLE", 503, "상품 변경 요청 메뉴 로딩에 실패하였습니다",
        "The plan change menu could not be loaded");
PROBLEM(screen_failed, "KOS_UNAVAILABLE", 503, "상품 변경 화면 접속에 실패하였습니다",
        "The plan change screen could not be loaded");
