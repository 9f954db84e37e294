/*
 * system.c - POSIX and Windows. Windows has UTF-16 for arguments, for paths, and for what is typed.
 */
#include "system.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#if defined(_WIN32)

#include <fcntl.h>
#include <io.h>
#include <windows.h>

#include <shellapi.h>

enum { PATH_UNITS = 1024, TYPED_UNITS = 256 }; /* of UTF-16; PATH_UNITS as PATH_ROOM in console.h */

/* ---- the streams ------------------------------------------------------------------------------------------------ */

static UINT code_page; /* of the console, before */

static void restore_code_page(void) { SetConsoleOutputCP(code_page); }

/* argv is in the code page of the system, which lacks most characters. */
char **system_start(int argc, char **argv)
{
    int n = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &n);
    char **list = wide != NULL && n == argc ? calloc((size_t)n + 1, sizeof *list) : NULL;
    for (int i = 0; list != NULL && i < n; i++) {
        int size = WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, NULL, 0, NULL, NULL);
        char *text = size > 0 ? malloc((size_t)size) : NULL;
        if (text != NULL)
            WideCharToMultiByte(CP_UTF8, 0, wide[i], -1, text, size, NULL, NULL);
        list[i] = text != NULL ? text : argv[i];
    }
    LocalFree(wide);
    for (int descriptor = 0; descriptor < 3; descriptor++)
        _setmode(descriptor, _O_BINARY);
    code_page = GetConsoleOutputCP();
    if (code_page != 0 && code_page != CP_UTF8 && SetConsoleOutputCP(CP_UTF8))
        atexit(restore_code_page); /* the console stays when the program ends */
    return list != NULL ? list : argv;
}

static HANDLE handle_of(int descriptor) { return (HANDLE)_get_osfhandle(descriptor); }

bool system_is_terminal(int descriptor)
{
    DWORD mode;
    return GetConsoleMode(handle_of(descriptor), &mode) != 0;
}

unsigned system_columns(void)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    return GetConsoleScreenBufferInfo(handle_of(1), &info) ? (unsigned)(info.srWindow.Right - info.srWindow.Left + 1)
                                                           : 0;
}

/* What is typed comes as UTF-16, because reading a console in UTF-8 loses characters before Windows 11. */
int system_next_byte(FILE *stream)
{
    static char typed[4 * TYPED_UNITS];
    static int n_typed, at;
    wchar_t wide[TYPED_UNITS + 1];
    DWORD n = 0, second = 0;
    if (stream != stdin || !system_is_terminal(0))
        return getc(stream);
    if (at == n_typed) {
        SetLastError(0);
        if (!ReadConsoleW(handle_of(0), wide, TYPED_UNITS, &n, NULL) || n == 0)
            return GetLastError() == ERROR_OPERATION_ABORTED ? SYSTEM_INTERRUPTED : EOF;
        if (wide[0] == 26) /* Ctrl-Z */
            return EOF;
        if (IS_HIGH_SURROGATE(wide[n - 1]) && ReadConsoleW(handle_of(0), wide + n, 1, &second, NULL))
            n += second;
        n_typed = WideCharToMultiByte(CP_UTF8, 0, wide, (int)n, typed, sizeof typed, NULL, NULL);
        at = 0;
    }
    return at < n_typed ? (unsigned char)typed[at++] : EOF;
}

static void (*interrupt_handler)(int number);

static BOOL WINAPI on_control(DWORD event)
{
    if (event == CTRL_C_EVENT)
        interrupt_handler(SIGINT);
    return event == CTRL_C_EVENT;
}

void system_catch_interrupts(void (*handler)(int number))
{
    interrupt_handler = handler;
    SetConsoleCtrlHandler(on_control, TRUE);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

/* A path in UTF-16. "" if it is none in UTF-8 or too long; no file has this name. */
static const wchar_t *wide_path(wchar_t room[PATH_UNITS], const char *path)
{
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, room, PATH_UNITS) == 0)
        room[0] = L'\0';
    return room;
}

FILE *system_open(const char *path, const char *mode)
{
    wchar_t wide[PATH_UNITS], wide_mode[PATH_UNITS];
    return _wfopen(wide_path(wide, path), wide_path(wide_mode, mode));
}

void system_remove(const char *path)
{
    wchar_t wide[PATH_UNITS];
    _wremove(wide_path(wide, path));
}

bool system_rename(const char *from, const char *path)
{
    wchar_t wide_from[PATH_UNITS], wide[PATH_UNITS];
    if (MoveFileExW(wide_path(wide_from, from), wide_path(wide, path), MOVEFILE_REPLACE_EXISTING))
        return true;
    errno = EACCES; /* another program has it open, it is a folder, or it is write-protected */
    return false;
}

system_kind system_kind_of(const char *path)
{
    struct _stat64 status;
    wchar_t wide[PATH_UNITS];
    if (_wstat64(wide_path(wide, path), &status) != 0)
        return SYSTEM_NOTHING;
    int kind = status.st_mode & _S_IFMT;
    return kind == _S_IFREG ? SYSTEM_FILE : kind == _S_IFDIR ? SYSTEM_FOLDER : SYSTEM_OTHER;
}

bool system_may_write(const char *path)
{
    wchar_t wide[PATH_UNITS];
    return _waccess(wide_path(wide, path), 2) == 0;
}

/* ---- the machine ------------------------------------------------------------------------------------------------ */

double system_seconds(void)
{
    LARGE_INTEGER now, frequency;
    return QueryPerformanceCounter(&now) && QueryPerformanceFrequency(&frequency)
               ? (double)now.QuadPart / (double)frequency.QuadPart
               : 0;
}

long system_processors(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return (long)info.dwNumberOfProcessors;
}

#else

#include <sys/ioctl.h>
#include <unistd.h>

char **system_start(int argc, char **argv)
{
    (void)argc;
#ifdef SIGPIPE
    signal(SIGPIPE, SIG_IGN);
#endif
    return argv;
}

bool system_is_terminal(int descriptor) { return isatty(descriptor); }

unsigned system_columns(void)
{
#if defined(TIOCGWINSZ)
    struct winsize size;
    if (ioctl(1, TIOCGWINSZ, &size) == 0)
        return size.ws_col;
#endif
    return 0;
}

/* Ctrl-C ends a read of the terminal with EINTR. */
int system_next_byte(FILE *stream)
{
    int c = getc(stream);
    return c == EOF && ferror(stream) && errno == EINTR ? SYSTEM_INTERRUPTED : c;
}

void system_catch_interrupts(void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler}; /* without SA_RESTART, so that a read ends */
    sigaction(SIGINT, &action, NULL);
}

FILE *system_open(const char *path, const char *mode) { return fopen(path, mode); }

void system_remove(const char *path) { remove(path); }

bool system_rename(const char *from, const char *path) { return rename(from, path) == 0; }

system_kind system_kind_of(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return SYSTEM_NOTHING;
    return S_ISREG(status.st_mode) ? SYSTEM_FILE : S_ISDIR(status.st_mode) ? SYSTEM_FOLDER : SYSTEM_OTHER;
}

bool system_may_write(const char *path) { return access(path, W_OK) == 0; }

/* The time of day can jump, and as a double it has no room for nanoseconds. */
double system_seconds(void)
{
    struct timespec now;
    return clock_gettime(CLOCK_MONOTONIC, &now) == 0 ? (double)now.tv_sec + 1e-9 * (double)now.tv_nsec : 0;
}

long system_processors(void)
{
#if defined(_SC_NPROCESSORS_ONLN)
    return sysconf(_SC_NPROCESSORS_ONLN);
#else
    return 1;
#endif
}

#endif
