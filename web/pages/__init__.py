"""The pages, a file each. `page()` takes nothing: it asks `web.visit.member()` who looks, and draws.

    def page() -> None:
        seen = member()
        st.title(seen.text("nav_progress"))
        with seen.reading() as session:
            rows = session.scalars(select(Attempt).where(Attempt.user_id == seen.user.id))

Every word that people read is a key of `web/language/*.yaml`. What a page does with figures stands in functions of a
module beside it, which a test can call.
"""
